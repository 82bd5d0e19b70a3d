package cli

// commands is the whole command line: every sub-command is listed here, and
// lives in a file of its name.
type commands struct {
	globals

	Quickstart quickstartCommand `cmd:"" group:"serving" help:"Play a smart meter maker's PKI, from nothing to a verified batch, and serve it."`
	Serve      serveCommand      `cmd:"" group:"serving" help:"Run the server."`
	Init       initCommand       `cmd:"" group:"serving" help:"Set up the data directory of a new deployment."`
	Config     configCommand     `cmd:"" group:"serving" help:"Print the effective configuration."`
	Check      checkCommand      `cmd:"" group:"serving" help:"Check that everything in a store holds together."`
	Bench      benchCommand      `cmd:"" group:"serving" help:"Measure this machine, and pando on it."`
	Ceremony   ceremonyCommand   `cmd:"" group:"offline" help:"Make and use a root key, offline."`
	Tenant     tenantCommand     `cmd:"" group:"managing" help:"Manage the organisations of a deployment."`
	Token      tokenCommand      `cmd:"" group:"managing" help:"Manage API tokens."`
	Change     changeCommand     `cmd:"" group:"managing" help:"Show and decide on what waits for approval."`
	Approval   approvalCommand   `cmd:"" group:"managing" help:"Say which acts need whose approval."`
	Role       roleCommand       `cmd:"" group:"managing" help:"Manage roles, which are sets of permissions."`
	Grant      grantCommand      `cmd:"" group:"managing" help:"Give roles on scopes, and take them away."`
	Access     accessCommand     `cmd:"" group:"managing" help:"Explain who may do what."`
	Alarms     alarmsCommand     `cmd:"" group:"managing" help:"Show what is wrong now, since when, and what to do."`
	Events     eventsCommand     `cmd:"" group:"managing" help:"List who did what, and when."`
	Expiry     expiryCommand     `cmd:"" group:"managing" help:"Report what ends within a window."`
	Quota      quotaCommand      `cmd:"" group:"managing" help:"Bound how many certificates there may be."`
	Child      childCommand      `cmd:"" group:"managing" help:"Manage child tenants, and what is lent to them."`
	Loans      loansCommand      `cmd:"" group:"managing" help:"List what the tenant's parent lends to it."`
	Archive    archiveCommand    `cmd:"" group:"managing" help:"Archive certificates that have expired."`
	Clock      clockCommand      `cmd:"" group:"managing" help:"Compare a node's clock, or accept it."`
	Trust      trustCommand      `cmd:"" group:"managing" help:"Manage whose client certificates prove somebody."`
	Secret     secretCommand     `cmd:"" group:"managing" help:"Give out what devices enrol by: passwords and challenges."`
	Authority  authorityCommand  `cmd:"" group:"managing" help:"Manage a tenant's certification authorities."`
	Profile    profileCommand    `cmd:"" group:"managing" help:"Manage the rules for each type of certificate."`
	Endpoint   endpointCommand   `cmd:"" group:"managing" help:"Manage the places under which devices enrol."`
	Line       lineCommand       `cmd:"" name:"product-line" group:"registry" help:"Manage the product lines."`
	Site       siteCommand       `cmd:"" group:"registry" help:"Manage the sites where devices are made."`
	Device     deviceCommand     `cmd:"" group:"registry" help:"Find devices, and change their states."`
	Lot        lotCommand        `cmd:"" group:"registry" help:"Manage the lots that devices are made in."`
	Registry   registryCommand   `cmd:"" group:"registry" help:"Say how the registry takes new names."`
	Audit      auditCommand      `cmd:"" group:"managing" help:"Export, prove and verify what was done."`
	Batch      batchCommand      `cmd:"" group:"issuing" help:"Run manufacturing jobs: many CSRs in, as many certificates out."`
	Cert       certCommand       `cmd:"" group:"issuing" help:"Issue, look up and revoke single certificates; block keys."`
	CRL        crlCommand        `cmd:"" name:"crl" group:"status" help:"Show, check and publish CRLs."`
	OCSP       ocspCommand       `cmd:"" name:"ocsp" group:"status" help:"Ask OCSP responders, and list them."`
	Revocation revocationCommand `cmd:"" group:"issuing" help:"Revoke, hold and release certificates by the lot, product line, batch, device or issuer."`
	Simulate   simulateCommand   `cmd:"" group:"issuing" help:"Play the outsiders that pando serves."`
	Version    versionCommand    `cmd:"" group:"other" help:"Print the version of this program."`
	Completion completionCommand `cmd:"" group:"other" help:"Print a completion script for a shell."`
}
