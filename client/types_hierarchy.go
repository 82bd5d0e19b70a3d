package client

import "time"

// An Authority is a tenant's CA over its life.
type Authority struct {
	ID            string    `json:"id"`
	Name          string    `json:"name" doc:"Unique in the tenant." example:"manufacturing"`
	CommonName    string    `json:"common_name" doc:"Of its certificates."`
	Kind          string    `json:"kind" doc:"root, intermediate or issuing."`
	Mode          string    `json:"mode" doc:"production or test. A test authority chains only to a test root."`
	Parent        string    `json:"parent,omitempty" doc:"The id of the authority above; absent for a root."`
	Profile       string    `json:"profile,omitempty" doc:"Of its own certificate."`
	KeyKind       string    `json:"key_kind,omitempty" doc:"p256, p384, p521, rsa2048, rsa3072, rsa4096 (each also with -pss), ed25519, mldsa44, mldsa65, mldsa87 or slhdsa-sha2-128s."`
	StatusURL     string    `json:"status_url,omitempty" doc:"The base of the OCSP, CRL and CA certificate URLs in what it signs."`
	Shards        int       `json:"shards,omitzero" doc:"CRL shards of its issuers."`
	SignCheck     string    `json:"sign_check,omitempty" doc:"Whether end-entity signatures are verified before release: always, or hardware for those by hardware keys alone."`
	RandomSerials bool      `json:"random_serials,omitzero" doc:"Serial numbers are wholly random and do not tell when they were made."`
	Deltas        bool      `json:"deltas,omitzero" doc:"Its full CRL has delta CRLs."`
	Indexes       []string  `json:"indexes,omitempty" doc:"The indexes that searches for its certificates need: expiry, fingerprint, subject."`
	Indexing      *Indexing `json:"indexing,omitempty" doc:"About indexes that it gets later; absent where none is being made."`
	State         string    `json:"state" doc:"pending until its certificate is installed, active, or retired."`
	Created       time.Time `json:"created"`
	Issuers       []Issuer  `json:"issuers" doc:"Its certificates over time, newest first."`
}

// An Indexing is the making of indexes that an authority did not have.
type Indexing struct {
	Indexes []string `json:"indexes" doc:"expiry, fingerprint, subject. Searches use them when they are made."`
	Percent int      `json:"percent" doc:"How far it is."`
}

// NewIndexes are indexes that an authority is to get.
type NewIndexes struct {
	Indexes []string `json:"indexes" minItems:"1" maxItems:"10" doc:"Some of expiry, fingerprint and subject; each costs at every issuance from then on, for life."`
}

// An Issuer is an authority's certificate and key at one moment.
type Issuer struct {
	ID          string    `json:"id" doc:"The opaque id that stands in status URLs. It is never used again."`
	Active      bool      `json:"active" doc:"New certificates come from the authority's one active issuer."`
	State       string    `json:"state" doc:"pending until its certificate is installed; next while the authority can be switched to it, and it is published; active; earlier; or dropped: it was pending or next."`
	Certificate string    `json:"certificate,omitempty" doc:"PEM; absent while pending."`
	Serial      string    `json:"serial,omitempty" doc:"Serial number of that certificate in hexadecimal; absent while pending."`
	NotBefore   time.Time `json:"not_before,omitzero"`
	NotAfter    time.Time `json:"not_after,omitzero"`
	Created     time.Time `json:"created"`
	Follows     string    `json:"follows,omitempty" doc:"Of a root that follows another: the id of that issuer."`
	NewWithOld  string    `json:"new_with_old,omitempty" doc:"Of such a root: its key, signed by the one before (RFC 9810, 4.4), in PEM; absent while pending."`
	OldWithNew  string    `json:"old_with_new,omitempty" doc:"Of such a root: the key of the one before, signed by its own, in PEM; absent while pending."`
}

// NewAuthority is an authority that gets a key here and a certificate from its
// parent: at once where the parent is online, through a ceremony where the
// parent is a root.
type NewAuthority struct {
	Name          string   `json:"name" maxLength:"40" doc:"A slug, unique in the tenant." example:"manufacturing"`
	CommonName    string   `json:"common_name" maxLength:"64" doc:"The CN of its certificate." example:"Example Meters Manufacturing CA"`
	Kind          string   `json:"kind" enum:"intermediate,issuing"`
	Parent        string   `json:"parent" doc:"Name or id of the authority above. The mode is the parent's."`
	Profile       string   `json:"profile,omitempty" doc:"Of its certificate. Default: issuing-ca."`
	KeyKind       string   `json:"key_kind,omitempty" doc:"Default: the first that the profile allows."`
	StatusURL     string   `json:"status_url,omitempty" doc:"The base of the OCSP, CRL and CA certificate URLs, http, without a slash at the end." example:"http://pki.example.com"`
	Shards        int      `json:"shards,omitzero" minimum:"0" doc:"CRL shards, fixed for life. Default: 1."`
	SignCheck     string   `json:"sign_check,omitempty" enum:"always,hardware" doc:"Default: hardware."`
	RandomSerials bool     `json:"random_serials,omitzero" doc:"Make serial numbers wholly random, so that they do not tell when they were made. Default: they begin with the time."`
	Deltas        bool     `json:"deltas,omitzero" doc:"Its one CRL, of one shard, has delta CRLs; fixed for life. Full CRLs are then made when two fifths of their life are over, and revocations come with the deltas."`
	Indexes       []string `json:"indexes,omitempty" doc:"Keep indexes for searches by expiry, fingerprint or subject, for life; each costs at every issuance. Default: none; they can be added later."`
}

// A Rollover is what an authority's next issuer is to be like. All else of it is as the
// authority's.
type Rollover struct {
	CommonName string `json:"common_name,omitempty" maxLength:"64" doc:"The CN of its certificate. Default: the active issuer's, one generation later." example:"Example Meters Manufacturing CA G2"`
	KeyKind    string `json:"key_kind,omitempty" doc:"Default: the authority's."`
}

// NewRoot is a root whose certificate a ceremony made.
type NewRoot struct {
	Name        string `json:"name" maxLength:"40" doc:"A slug, unique in the tenant." example:"root"`
	Mode        string `json:"mode" enum:"production,test"`
	StatusURL   string `json:"status_url" doc:"Where the root's CRL and certificate are served." example:"http://pki.example.com"`
	Certificate string `json:"certificate" doc:"The root's certificate in PEM."`
}

// A Profile is one immutable version of a profile.
type Profile struct {
	Name    string    `json:"name" example:"meter"`
	Version int       `json:"version" doc:"From 1."`
	Hash    string    `json:"hash" doc:"SHA-256 of the document, in hexadecimal."`
	Created time.Time `json:"created"`
	Source  string    `json:"source,omitempty" doc:"The YAML document as published; absent in listings."`

	Repeated bool   `json:"repeated,omitempty" doc:"Of a publication: the latest version has the same document already, and nothing was published."`
	By       string `json:"by,omitempty" doc:"Who published it, in a list of versions."`
}

// NewProfile is a profile to publish.
type NewProfile struct {
	Source string `json:"source" doc:"The YAML document."`
}

// Names are the subject alternative names that an endpoint authorises for
// profiles whose names come from the request.
type Names struct {
	DNS []string `json:"dns,omitempty" doc:"Exact names, or *.example.com for the names one label below."`
	IP  []string `json:"ip,omitempty" doc:"Prefixes, as 10.0.0.0/8."`
	URI []string `json:"uri,omitempty" doc:"Prefixes, as urn:device:."`
}

// An Endpoint is a named place under which devices enrol.
type Endpoint struct {
	Label     string     `json:"label" doc:"{tenant}.{name}, as it stands in URLs." example:"demo.meter"`
	Name      string     `json:"name" example:"meter"`
	Authority string     `json:"authority" doc:"Id of the authority that issues."`
	Profile   ProfileRef `json:"profile"`
	Protocols []string   `json:"protocols" doc:"The ways in that are on: rest, batch, est, scep, scep-legacy."`
	Names     Names      `json:"names"`
	Auth      []string   `json:"auth,omitempty" doc:"Which proofs of who asks it wants, one of them. Absent: any one."`
	Networks  []string   `json:"networks,omitempty" doc:"From which it takes requests. Absent: from anywhere."`
	Validator string     `json:"validator,omitempty" doc:"The service outside that checks challenges of SCEP, by its name in the server's configuration. Absent: they are enrolment secrets."`
	Approvals *Approvals `json:"approvals,omitempty" doc:"Whose approval each enrolment needs, after that which the profile wants. Absent: nobody's."`
	Quota     *int64     `json:"quota,omitempty" doc:"How many certificates there may be by it: the quota endpoint:NAME. Absent: no limit of its own."`
	Created   time.Time  `json:"created"`
}

// Approvals is whose approval each enrolment at an endpoint needs.
type Approvals struct {
	Steps       []ApprovalStep `json:"steps" maxItems:"5" doc:"One after another, after those of the profile; with them there are five at most. None: nobody's."`
	LifeSeconds int64          `json:"life_seconds,omitzero" minimum:"0" maximum:"7776000" doc:"How long an enrolment waits, at most. Default: seven days."`
}

// A ProfileRef names one version of a profile.
type ProfileRef struct {
	Name    string `json:"name" example:"meter"`
	Version int    `json:"version" doc:"From 1."`
	Hash    string `json:"hash,omitempty" doc:"SHA-256 of the document, in hexadecimal; with enrolments and certificates."`
}

// NewEndpoint is an endpoint to create.
type NewEndpoint struct {
	Name      string     `json:"name" maxLength:"40" doc:"A slug, unique in the tenant." example:"meter"`
	Loan      string     `json:"loan,omitempty" maxLength:"40" doc:"Of what the parent lends, in the place of authority and profile."`
	Authority string     `json:"authority,omitempty" doc:"Name or id of the authority that issues."`
	Profile   string     `json:"profile,omitempty" doc:"Name of the profile."`
	Version   int        `json:"version,omitzero" minimum:"0" doc:"Of the profile. Default: the latest."`
	Protocols []string   `json:"protocols,omitzero" doc:"The ways in that are on: rest, batch, est, scep, scep-legacy. Default: rest and batch. None: it is switched off."`
	Names     *Names     `json:"names,omitzero" doc:"What the request may ask to be named."`
	Auth      []string   `json:"auth,omitzero" doc:"Which proofs of who asks it wants, one of them: certificate, secret, token, or several that are needed together, as certificate+secret. Default: any one."`
	Networks  []string   `json:"networks,omitzero" doc:"From which it takes requests, as 10.0.0.0/8. Default: from anywhere."`
	Validator string     `json:"validator,omitempty" maxLength:"40" doc:"Service outside that checks challenges of SCEP, by its name in the server's configuration. Default: they are enrolment secrets."`
	Approvals *Approvals `json:"approvals,omitzero" doc:"Whose approval each enrolment needs, after that which the profile wants. Default: nobody's."`
	Quota     *int64     `json:"quota,omitzero" minimum:"0" maximum:"1000000000000" doc:"How many certificates there may be by it: the quota endpoint:NAME. It takes quotas.manage. Default: no limit of its own."`
}

// EndpointChange is what to change of an endpoint; what is absent stays as it is,
// and what is empty, but not nil, takes away what was there.
type EndpointChange struct {
	Profile   string     `json:"profile,omitempty" doc:"Name of the profile."`
	Version   int        `json:"version,omitzero" minimum:"0" doc:"Of the profile. Default: the latest."`
	Protocols []string   `json:"protocols,omitzero" doc:"The ways in that are on: rest, batch, est, scep, scep-legacy. None: it is switched off."`
	Names     *Names     `json:"names,omitzero" doc:"What the request may ask to be named, in the place of all that it might before."`
	Auth      []string   `json:"auth,omitzero" doc:"Which proofs of who asks it wants, one of them. None: any one."`
	Networks  []string   `json:"networks,omitzero" doc:"From which it takes requests. None: from anywhere."`
	Validator *string    `json:"validator,omitzero" maxLength:"40" doc:"Service outside that checks challenges of SCEP. Empty: they are enrolment secrets."`
	Approvals *Approvals `json:"approvals,omitzero" doc:"Whose approval each enrolment needs, in the place of what there was. Without steps: nobody's."`
	Quota     *int64     `json:"quota,omitzero" minimum:"0" maximum:"1000000000000" doc:"How many certificates there may be by it, no more than before: the quota endpoint:NAME is raised by itself. It takes quotas.manage."`
}
