package quickstart

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/ceremony"
	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/server"
	"github.com/pando-pki/pando/internal/simulate"
)

// The story's names.
const (
	tenant       = "demo"
	organization = "Example Metering"
	rootName     = "root"
	rootCN       = "Example Metering Demonstration Root"

	rootCRLDays = 365

	estEndpoint  = "device" // also the default of EST
	scepEndpoint = "device-scep"
	secretDays   = 365
)

// authorities are the story's issuing authorities; the shards spread the CRL of
// the one that signs by the million.
var authorities = [...]struct {
	name, cn string
	shards   int
}{
	{manufacturing, "Example Metering Manufacturing CA", 4},
	{"firmware", "Example Metering Firmware Signing CA", 1},
	{"code-verification", "Example Metering Code Verification CA", 1},
	{"operations", "Example Metering Operations CA", 1},
}

// manufacturing is the authority that lots are issued by.
const manufacturing = "manufacturing"

// endpoints are where the story's devices and people enrol.
var endpoints = [...]client.NewEndpoint{
	{Name: "meter", Authority: manufacturing, Profile: "meter", Protocols: []string{"batch", "rest"}},
	{Name: estEndpoint, Authority: manufacturing, Profile: "device", Protocols: []string{"batch", "est", "rest"}},
	{Name: scepEndpoint, Authority: manufacturing, Profile: "device", Protocols: []string{"rest", "scep"}},
	{Name: "firmware", Authority: "firmware", Profile: "firmware-signing", Protocols: []string{"rest"}},
	{Name: "rni", Authority: "code-verification", Profile: "rni-command", Protocols: []string{"batch", "rest"}},
	{Name: "tls", Authority: "operations", Profile: "tls-server", Protocols: []string{"rest"},
		Names: &client.Names{DNS: []string{"localhost", "*.head-end.example"}, IP: []string{"127.0.0.0/8", "::1/128"}}},
	{Name: "head-end", Authority: "operations", Profile: "tls-client", Protocols: []string{"rest"},
		Names: &client.Names{DNS: []string{"*.head-end.example"}}},
}

// A story is a quickstart being played.
type story struct {
	cfg    Config
	srv    *server.Server
	file   *File
	api    *client.Client // as the tenant's administrator
	root   *x509.Certificate
	sealed string
	secret pki.Secret // opens sealed
}

// play plays the story on a server that has nothing yet, and writes the File.
func play(ctx context.Context, cfg Config, srv *server.Server) (*File, error) {
	s := &story{cfg: cfg, srv: srv, file: &File{Tenant: tenant, Authorities: make(map[string]Authority)}}
	s.file.address(srv)
	for _, act := range []func(context.Context) error{
		s.makeRoot, s.makeTenant, s.makeAuthorities, s.makeEndpoints, s.letDevicesIn, s.readySCEP, s.secureListeners, s.runPlant, s.publishStatus,
	} {
		if err := act(ctx); err != nil {
			return nil, err
		}
	}
	s.cfg.Step("DEMONSTRATION: the audit log is anchored in %s/anchor/, beside the database; in earnest it is anchored where its operator cannot rewrite it", ServerDir)
	return s.file, s.file.write(cfg.Dir)
}

func (s *story) path(parts ...string) string {
	return filepath.Join(append([]string{s.cfg.Dir}, parts...)...)
}

// makeRoot is the offline machine's part: a root in a sealed file.
func (s *story) makeRoot(ctx context.Context) error {
	s.cfg.Step("ceremony: a root key, sealed in a file that the server never reads")
	s.cfg.Step("DEMONSTRATION: the passphrase lies beside it in %s/; a real one never does", ceremonyDir)
	profile, err := packs.Document("root")
	if err != nil {
		return err
	}
	s.sealed, s.secret = s.path(ceremonyDir, "root.sealed"), pki.NewSecret(pki.NewOpaqueID())
	if _, err := writePEM(s.path(ceremonyDir, "root.passphrase"), 0o600, s.secret.Reveal()+"\n"); err != nil {
		return err
	}
	der, err := ceremony.NewRoot(ctx, ceremony.RootConfig{
		Mode: pki.Test, CommonName: rootCN, Organization: organization, Profile: profile,
		Passphrase: s.secret, WorkFactor: 14, Sealed: s.sealed, Now: time.Now,
	})
	if err != nil {
		return err
	}
	if s.root, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	s.file.Root, err = writePEM(s.path("root.pem"), 0o644, encode(der))
	s.file.TLSCA = s.file.Root
	return err
}

// makeTenant is the platform operator's part. The listeners have only their
// bootstrap certificate yet.
func (s *story) makeTenant(ctx context.Context) error {
	s.cfg.Step("tenant %s (%s), with a token for its administrator", tenant, organization)
	first, err := s.srv.FirstToken(ctx)
	if err != nil {
		return err
	}
	if _, err := writePEM(s.path(ServerDir, "operator.token"), 0o600, first.Reveal()+"\n"); err != nil {
		return err
	}
	bootstrap := s.path(ServerDir, server.BootstrapFile)
	operator, err := client.New(client.Config{Server: s.file.API, Token: client.TokenOf(first.Reveal()), CAFile: bootstrap})
	if err != nil {
		return err
	}
	s.cfg.Step("NO APPROVALS: in this tenant ONE ADMINISTRATOR ACTS ALONE, as a demonstration can; tenants that 'pando tenant create' makes have a security officer approve acts of weight")
	if _, err := operator.CreateTenant(ctx, client.NewTenant{ID: tenant, Organization: organization, Approvals: "none"}); err != nil {
		return err
	}
	made, err := operator.CreateTenantToken(ctx, tenant, client.NewToken{Name: "quickstart administrator", Role: "tenant-administrator"})
	if err != nil {
		return err
	}
	s.file.Token = made.Secret
	s.api, err = client.New(client.Config{Server: s.file.API, Token: made.Secret, CAFile: bootstrap})
	return err
}

// makeAuthorities builds the hierarchy: each authority gets its key on the
// server, and its certificate from the root in an act of its own.
func (s *story) makeAuthorities(ctx context.Context) error {
	for _, name := range packs.Story() {
		source, err := packs.Document(name)
		if err != nil {
			return err
		}
		if _, err := s.api.PublishProfile(ctx, source); err != nil {
			return err
		}
	}
	s.cfg.Step("profiles %s", strings.Join(packs.Story(), ", "))
	text, err := os.ReadFile(s.file.Root)
	if err != nil {
		return err
	}
	if _, err := s.api.ImportRoot(ctx, client.NewRoot{Name: rootName, Mode: string(pki.Test), StatusURL: s.file.HTTP, Certificate: string(text)}); err != nil {
		return err
	}
	for _, a := range authorities {
		if err := s.makeAuthority(ctx, a.name, a.cn, a.shards); err != nil {
			return fmt.Errorf("authority %s: %w", a.name, err)
		}
	}
	request, err := s.api.CRLRequest(ctx, rootName, "", rootCRLDays)
	if err != nil {
		return err
	}
	s.cfg.Step("the root's first CRL")
	_, err = s.sign(ctx, request)
	return err
}

// makeAuthority makes one that keeps every index, but where the lots are issued (ADR 63).
func (s *story) makeAuthority(ctx context.Context, name, cn string, shards int) error {
	var indexes []string
	if name != manufacturing {
		for _, index := range pki.SearchIndexes() {
			indexes = append(indexes, string(index))
		}
	}
	_, err := s.api.CreateAuthority(ctx, client.NewAuthority{
		Name: name, CommonName: cn, Kind: string(pki.Issuing), Parent: rootName, StatusURL: s.file.HTTP, Shards: shards,
		Indexes: indexes,
	})
	if err != nil {
		return err
	}
	request, err := s.api.AuthorityRequest(ctx, name)
	if err != nil {
		return err
	}
	made, err := s.sign(ctx, request)
	if err != nil {
		return err
	}
	chain, err := s.api.Chain(ctx, name)
	if err != nil {
		return err
	}
	a := Authority{ID: made.ID, OCSP: s.file.HTTP + "/ocsp/" + made.Issuers[0].ID}
	for i := range shards {
		a.CRLs = append(a.CRLs, fmt.Sprintf("%s/crl/%s/%d.crl", s.file.HTTP, made.Issuers[0].ID, i))
	}
	if a.Chain, err = writePEM(s.path(name+".pem"), 0o644, string(chain)); err != nil {
		return err
	}
	s.file.Authorities[name] = a
	s.cfg.Step("issuing authority %s: key on the server, certificate from the root", name)
	return nil
}

// sign carries a request to the offline root and its answer back.
func (s *story) sign(ctx context.Context, request []byte) (*client.Authority, error) {
	r, err := ceremony.ReadRequest(bytes.NewReader(request))
	if err != nil {
		return nil, err
	}
	answer, err := ceremony.Sign(ctx, ceremony.SignConfig{Sealed: s.sealed, Passphrase: s.secret, Request: r, Now: time.Now})
	if err != nil {
		return nil, err
	}
	var file bytes.Buffer
	if err := ceremony.WriteResponse(&file, answer); err != nil {
		return nil, err
	}
	return s.api.Install(ctx, file.Bytes())
}

func (s *story) makeEndpoints(ctx context.Context) error {
	var labels []string
	for _, ep := range endpoints {
		if _, err := s.api.CreateEndpoint(ctx, ep); err != nil {
			return fmt.Errorf("endpoint %s: %w", ep.Name, err)
		}
		labels = append(labels, tenant+"."+ep.Name)
	}
	s.cfg.Step("endpoints %s", strings.Join(labels, ", "))
	return nil
}

// letDevicesIn has devices enrol by EST and SCEP, each with a secret for all of them, and
// by the certificates that they have then.
func (s *story) letDevicesIn(ctx context.Context) error {
	if _, err := s.api.AddTrust(ctx, client.NewTrust{
		Name: "devices", Authority: manufacturing, Role: "device", Scopes: []string{"endpoint:" + estEndpoint, "endpoint:" + scepEndpoint},
	}); err != nil {
		return err
	}
	made := make(map[string]*client.CreatedSecret)
	for _, endpoint := range []string{estEndpoint, scepEndpoint} {
		var err error
		if made[endpoint], err = s.api.CreateSecret(ctx, client.NewSecret{Endpoint: endpoint, Name: "quickstart", LifeSeconds: secretDays * 24 * 60 * 60}); err != nil {
			return err
		}
	}
	s.file.EST = EST{Base: s.file.Devices, Label: tenant + "." + estEndpoint, User: made[estEndpoint].ID, Password: made[estEndpoint].Secret}
	s.file.SCEP = SCEP{URL: s.file.HTTP + "/scep/" + tenant + "." + scepEndpoint, Challenge: made[scepEndpoint].Secret}
	s.cfg.Step("DEMONSTRATION: the EST password and the SCEP challenge in %s may be used many times; a real one is for one certificate", FileName)
	return nil
}

// readySCEP asks for the certificates that SCEP's messages are for, so that their keys
// are made now, and not while the first device waits.
func (s *story) readySCEP(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.file.SCEP.URL+"?operation=GetCACert", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("SCEP answers %s", answer.Status)
	}
	return nil
}

// secureListeners has the listeners take their certificate from Operations, and
// goes on over connections that verify to the root.
func (s *story) secureListeners(ctx context.Context) error {
	if err := s.srv.RenewListeners(ctx); err != nil {
		return err
	}
	s.cfg.Step("the listeners' TLS certificate now comes from Operations")
	var err error
	s.api, err = client.New(client.Config{Server: s.file.API, Token: s.file.Token, CAFile: s.file.TLSCA})
	return err
}

// runPlant is the maker's own server: it makes keys and requests, hands them in
// as a batch and verifies what comes back.
func (s *story) runPlant(ctx context.Context) error {
	s.cfg.Step("a plant makes %d keys and requests and hands them in as a batch", s.cfg.Batch)
	path := s.path(plantDir, "results.pem")
	results, err := os.Create(path)
	if err != nil {
		return err
	}
	defer results.Close()
	acknowledged, err := os.Create(s.path(plantDir, "acknowledged.ndjson"))
	if err != nil {
		return err
	}
	defer acknowledged.Close()
	report, err := simulate.Plant(ctx, simulate.PlantConfig{
		Client: s.api, Endpoint: tenant + ".meter", Devices: simulate.Devices{Prefix: "SM-", Count: s.cfg.Batch},
		Root: s.root, ProductLine: "residential-meter", Lot: "lot-1", Site: "plant-1",
		Results: results, Acknowledged: acknowledged,
		OnProgress: func(p simulate.PlantProgress) { s.cfg.Working(string(p.Stage), p.Done, p.Total, p.Rate) },
	})
	if err != nil {
		return err
	}
	if report.Issued != report.Devices {
		return fmt.Errorf("of %d certificates %d are right; %d refused %v, %d wrong %v, %d missing",
			report.Devices, report.Issued, report.Refused, report.Refusals, report.Wrong, report.Faults, report.Missing)
	}
	s.cfg.Step("%d certificates issued and verified to the root, %.0f a second", report.Issued, report.Rate)
	s.file.Batch = Batch{ID: report.Batch, Results: path}
	good := report.Samples[0]
	if s.file.Samples.Good, err = writePEM(s.path(plantDir, "good.pem"), 0o644, good.Certificate); err != nil {
		return err
	}
	if s.file.Samples.Key, err = writePEM(s.path(plantDir, "good.key"), 0o600, good.Key.Reveal()); err != nil {
		return err
	}
	return s.revoke(ctx, report.Samples[len(report.Samples)-1])
}

// revoke revokes the certificate of a meter that is reported stolen.
func (s *story) revoke(ctx context.Context, stolen simulate.Sample) error {
	var err error
	if s.file.Samples.Revoked, err = writePEM(s.path(plantDir, "revoked.pem"), 0o644, stolen.Certificate); err != nil {
		return err
	}
	s.cfg.Step("meter %s is reported stolen: its certificate %s is revoked", stolen.Device, stolen.Serial)
	_, err = s.api.Revoke(ctx, stolen.Issuer, stolen.Serial, pki.KeyCompromise.String())
	return err
}

// publishStatus makes the CRLs at once, with the revocation in them.
func (s *story) publishStatus(ctx context.Context) error { return s.srv.PublishStatus(ctx) }

func encode(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
