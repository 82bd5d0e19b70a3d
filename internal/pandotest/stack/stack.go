// Package stack puts all of the services together over a real store, for tests of
// several at once. It is imported by external test packages alone: a package that
// it imports cannot import it in its own tests.
package stack

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/anchor"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/auditlog"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/blob"
	"github.com/pando-pki/pando/internal/ceremony"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/expiry"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/keypool"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/keystore/soft"
	"github.com/pando-pki/pando/internal/lotreport"
	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/quota"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/retention"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/signer"
	"github.com/pando-pki/pando/internal/store/sqlstore"
	"github.com/pando-pki/pando/internal/trace"
	"github.com/pando-pki/pando/internal/trust"
	"github.com/pando-pki/pando/internal/validator"
	"github.com/pando-pki/pando/internal/visits"
)

// Stack is every service over a real store with software keys, without
// listeners. Its parts are made by New and wired as the server wires them.
type Stack struct {
	Path           string // of the database file
	Alarms         *alarm.Board
	Store          *sqlstore.Store
	Signer         *signer.Signer
	Tokens         *access.Tokens
	Hierarchy      *hierarchy.Service
	Issuance       *issuance.Service
	Registry       *registry.Service
	Trace          *trace.Service
	LotReports     *lotreport.Service
	Enroll         *enroll.Service
	Batch          *batch.Service
	Revocation     *revocation.Service
	Expiry         *expiry.Service
	Trust          *trust.Service
	Secrets        *enrolauth.Service
	Validators     *validator.Service
	Visits         *visits.Book
	Office         *access.Office
	Quotas         *quota.Service     // it does not run: Count and Look do its work
	Retention      *retention.Service // it does not run: Round makes what is due
	Archives       *blob.Directory    // where it archives
	Now            pki.Clock          // of its ceremonies too
	RevocationJobs *revocation.Jobs
	Approvals      *approval.Service // it does not run
	Keypool        *keypool.Pool

	// CAKey is the kind of the keys of roots and authorities; "" is that of their profiles.
	CAKey pki.KeyKind

	dir  string            // of the roots' sealed files
	next map[string]string // those of roots that followed others, by the hash of their certificate
	log  *auditlog.Service // the last that NewLog made
}

// Config changes what New does; its zero value changes nothing.
type Config struct {
	// WrapKeys puts itself before the provider of software keys.
	WrapKeys func(keystore.Provider) keystore.Provider
	// WrapStore puts itself before the store that issuance uses.
	WrapStore func(issuance.Store) issuance.Store
	// WrapArchives puts itself before the place of the archives.
	WrapArchives func(retention.Objects) retention.Objects
	Dir          string               // an empty directory for everything; "" is one of the test's own
	Gate         *audit.Gate          // the store's; nil is always open
	Now          pki.Clock            // nil is time.Now
	Elapsed      func() time.Duration // of issuance; nil sees no jumps of Now
	Stopped      bool                 // issuance and batches do not run
	Validators   []validator.Settings // of challenges of SCEP
}

// passphrase opens the roots of test stacks.
const passphrase = "only for tests"

// StatusURL is the status base URL of every authority of a Stack.
const StatusURL = "http://127.0.0.1:1"

// New returns a Stack without tenants, running until the test ends.
func New(t testing.TB, cfg Config) *Stack {
	t.Helper()
	ctx := context.Background()
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	dir := cfg.Dir
	if dir == "" {
		dir = t.TempDir()
	}
	s := &Stack{Path: filepath.Join(dir, "pando.db"), dir: dir, Now: cfg.Now, Alarms: alarm.NewBoard(cfg.Now), Visits: visits.NewBook()}
	log := slog.New(slog.DiscardHandler)
	var err error
	if s.Store, err = sqlstore.Open(ctx, s.Path, sqlstore.Options{Gate: cfg.Gate}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Store.Close() })
	kek, err := soft.CreateKEK(filepath.Join(dir, "kek.key"))
	if err != nil {
		t.Fatal(err)
	}
	var provider keystore.Provider = soft.New(s.Store, kek, nil, cfg.Now)
	if cfg.WrapKeys != nil {
		provider = cfg.WrapKeys(provider)
	}
	s.Signer = signer.New(keystore.New(map[string]keystore.Provider{"software": provider}))
	s.Tokens = access.NewTokens(s.Store, cfg.Now)
	certified, principals := &struct{ approval.Certificates }{}, &enrolauth.Principals{Tokens: s.Tokens}
	s.Approvals = approval.New(approval.Config{Store: s.Store, Principals: principals, Certificates: certified, Alarms: s.Alarms, Now: cfg.Now, Log: log})
	s.Tokens.Heed(s.Approvals)
	family := hierarchy.NewFamilies(s.Store).Of
	s.Revocation = revocation.New(revocation.Config{Store: s.Store, Signer: s.Signer, Issuers: s.Store, Responders: noResponders{}, Gate: s.Approvals, LintCRL: policy.LintCRL, Alarms: alarm.NewBoard(cfg.Now), Now: cfg.Now, Log: log})
	s.RevocationJobs = revocation.NewJobs(revocation.JobsConfig{Store: s.Store, VA: s.Revocation, Gate: s.Approvals, Family: family, Now: cfg.Now, Log: log})
	var store issuance.Store = s.Store
	if cfg.WrapStore != nil {
		store = cfg.WrapStore(store)
	}
	s.Issuance, err = issuance.New(ctx, issuance.Config{Store: store, Signer: s.Signer, Issuers: s.Store, Node: "test", Now: cfg.Now, Elapsed: cfg.Elapsed, Alarms: s.Alarms, Log: log, Family: family})
	if err != nil {
		t.Fatal(err)
	}
	ra := &struct{ hierarchy.RA }{}
	s.Hierarchy = hierarchy.New(hierarchy.Config{Store: s.Store, Revocations: s.Store, CRLs: s.Revocation, Keys: s.Signer, RA: ra, CA: s.Issuance, Gate: s.Approvals, Now: cfg.Now})
	s.Registry = registry.New(registry.Config{Store: s.Store, Now: cfg.Now, CursorKey: [32]byte{1}, Revoked: s.Revocation.Changed})
	s.Keypool = keypool.New(keypool.Config{Ahead: keypool.Ahead(), Do: s.Issuance.Do, Log: log})
	validators := &struct{ enroll.Validators }{}
	s.Enroll = enroll.New(enroll.Config{Store: s.Store, Directory: s.Hierarchy, CA: s.Issuance, Registry: s.Registry, Gate: s.Approvals, Keys: s.Keypool, Now: cfg.Now, Visits: s.Visits, Validators: validators, Sealer: kek})
	ra.RA = s.Enroll
	spool, err := batch.OpenSpool(filepath.Join(dir, "spool"))
	if err != nil {
		t.Fatal(err)
	}
	s.Batch = batch.New(batch.Config{Store: s.Store, RA: s.Enroll, Gate: s.Approvals, Spool: spool, Family: family, Now: cfg.Now, Log: log})
	s.LotReports = lotreport.New(lotreport.Config{Store: s.Store, Batches: s.Batch, Signer: s.Signer, Now: cfg.Now, Closed: s.Registry.Forget})
	s.Trust = trust.New(trust.Config{Store: s.Store, Directory: s.Hierarchy, Gate: s.Approvals, Now: cfg.Now})
	certified.Certificates = s.Trust
	s.Validators = validator.New(validator.Config{Validators: cfg.Validators, Store: s.Store, Sealer: kek, RA: s.Enroll, Alarms: s.Alarms, Now: cfg.Now, Log: log})
	validators.Validators = s.Validators
	s.Secrets = enrolauth.New(enrolauth.Config{Store: s.Store, Registry: s.Registry, Tokens: s.Tokens, Trust: s.Trust, Tenants: s.Hierarchy, Alarms: s.Alarms, Visits: s.Visits, Now: cfg.Now, Validators: s.Validators, Sealer: kek, Keyed: kek})
	principals.Secrets = s.Secrets
	s.Office = access.NewOffice(access.OfficeConfig{Store: s.Store, Gate: s.Approvals, Now: cfg.Now, Changed: func() { s.Tokens.Forget(); s.Trust.Forget() }})
	s.Expiry = expiry.New(expiry.Config{Store: s.Store, Directory: s.Hierarchy, Alarms: s.Alarms, Now: cfg.Now, Log: log})
	s.Quotas = quota.New(quota.Config{Store: s.Store, Alarms: s.Alarms, Gate: s.Approvals, Now: cfg.Now, Log: log})
	places := filepath.Join(dir, "archives")
	if err := os.Mkdir(places, 0o700); err != nil {
		t.Fatal(err)
	}
	s.Archives = blob.OpenDirectory(places)
	var archives retention.Objects = s.Archives
	if cfg.WrapArchives != nil {
		archives = cfg.WrapArchives(archives)
	}
	s.Retention = retention.New(retention.Config{Store: s.Store, Objects: archives, Hashes: s.hashes, Requests: s.Batch.Requests, Time: s.Issuance.Time, Alarms: s.Alarms, Gate: s.Approvals, Now: cfg.Now, Log: log})
	s.Approvals.Serve(s.Hierarchy.Executors(), s.Retention.Executors(), s.Quotas.Executors(), s.RevocationJobs.Executors(),
		s.Revocation.Executors(), s.Enroll.Executors(), s.Batch.Executors(), s.Trust.Executors(), approval.Giving(s.Office))
	s.Trace = trace.New(trace.Config{Registry: s.Registry, Batches: s.Batch, Jobs: s.RevocationJobs, Chains: s.Hierarchy, Store: s.Store})
	if !cfg.Stopped {
		run(t, s.Issuance.Run)
		run(t, s.Batch.Run)
		run(t, s.RevocationJobs.Run)
		run(t, s.Keypool.Run)
	}
	return s
}

// run runs a worker until the test ends.
func run(t testing.TB, work func(context.Context) error) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- work(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("a worker ended: %v", err)
		}
	})
}

type noResponders struct{}

func (noResponders) Responder(context.Context, pki.IssuerID) ([]byte, pki.KeyURI, time.Time, error) {
	return nil, "", time.Time{}, errors.New("a test stack has no OCSP responders")
}

// Permit returns the permit of a permission to the tenant's administrator, or on
// the platform to its operator.
func (s *Stack) Permit(t testing.TB, tenant pki.TenantID, p access.Permission) access.Permit {
	t.Helper()
	role := access.TenantAdministrator
	if tenant == pki.Platform {
		role = access.PlatformOperator
	}
	g, err := access.Principal{Tenant: tenant, ID: "token:test", Name: "test", Grants: access.Given(role)}.Authorize(p, tenant)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Appoint makes a token and returns who holds it.
func (s *Stack) Appoint(t testing.TB, tenant pki.TenantID, name string, role access.Role) access.Principal {
	t.Helper()
	token, _, err := s.Tokens.Create(context.Background(), s.Permit(t, tenant, access.ManageTokens), access.NewToken{Name: name, Role: role})
	if err != nil {
		t.Fatal(err)
	}
	who, err := s.Tokens.Principal(context.Background(), tenant, token.Principal())
	if err != nil {
		t.Fatal(err)
	}
	return who
}

// SetRule sets a rule of approval, whatever the one before it would want.
func (s *Stack) SetRule(t testing.TB, tenant pki.TenantID, r approval.Rule) {
	t.Helper()
	was, _, err := s.Store.ApprovalRules(t.Context(), tenant)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Store.SetApprovalRule(t.Context(), tenant, r, was, pki.Event{Tenant: tenant, At: s.Now(), Action: "approval.rule"}); err != nil {
		t.Fatal(err)
	}
}

// AddTenant makes a tenant with the reference profiles, a test root and an
// authority "issuing", and an endpoint for each named profile, of its name.
func (s *Stack) AddTenant(t testing.TB, id pki.TenantID, endpoints ...string) {
	t.Helper()
	ctx := context.Background()
	if _, err := s.Hierarchy.CreateTenant(ctx, s.Permit(t, pki.Platform, access.ManageTenants), hierarchy.NewTenant{ID: id, Organization: "Example " + string(id), Alone: true}); err != nil {
		t.Fatal(err)
	}
	s.fill(t, id, endpoints...)
}

// AddChild is AddTenant for a child of another, which may have any name.
func (s *Stack) AddChild(t testing.TB, parent, id pki.TenantID, endpoints ...string) {
	t.Helper()
	child := &pki.Tenant{ID: id, Organization: "Example " + string(id), Created: s.Now(), Parent: parent}
	if err := s.Store.PutTenant(context.Background(), child, pki.Event{Tenant: parent, At: s.Now(), Action: "child.create"}); err != nil {
		t.Fatal(err)
	}
	s.fill(t, id, endpoints...)
}

func (s *Stack) fill(t testing.TB, id pki.TenantID, endpoints ...string) {
	t.Helper()
	ctx := context.Background()
	for _, name := range packs.Story() {
		source, err := packs.Document(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Hierarchy.PublishProfile(ctx, s.Permit(t, id, access.ManageProfiles), s.keyed(source)); err != nil {
			t.Fatal(err)
		}
	}
	s.addRoot(t, id)
	s.AddAuthority(t, id, "issuing")
	for _, profile := range endpoints {
		_, err := s.Enroll.CreateEndpoint(ctx, s.Permit(t, id, access.ManageEndpoints), enroll.NewEndpoint{
			Name: profile, Authority: "issuing", Profile: profile,
			Names: &pki.Names{DNS: []string{"localhost", "*.example.com"}, IP: []string{"127.0.0.0/8"}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// AddPair publishes two profiles of a tenant's that name each other, with an endpoint for
// each, of its name: "sign" and "agree".
func (s *Stack) AddPair(t testing.TB, tenant pki.TenantID) {
	t.Helper()
	s.AddPaired(t, tenant, "sign", "agree", "digitalSignature")
	s.AddPaired(t, tenant, "agree", "sign", "keyAgreement")
}

// AddPaired publishes a profile of one of a pair, for a key usage, with its endpoint. The
// lines are of the profile, besides.
func (s *Stack) AddPaired(t testing.TB, tenant pki.TenantID, name, other, usage string, lines ...string) {
	t.Helper()
	document := fmt.Sprintf(`profile: %s
pair: %s
keys: {allow: [p256]}
validity: 1y
subject: [{type: serialNumber, from: device.id}]
keyUsage: {use: [%s]}
keyIdentifiers: [subject, authority]
%s`, name, other, usage, strings.Join(lines, "\n"))
	if _, err := s.Hierarchy.PublishProfile(t.Context(), s.Permit(t, tenant, access.ManageProfiles), []byte(document)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Enroll.CreateEndpoint(t.Context(), s.Permit(t, tenant, access.ManageEndpoints), enroll.NewEndpoint{Name: name, Authority: "issuing", Profile: name}); err != nil {
		t.Fatal(err)
	}
}

// caKeys is what the profiles of roots and authorities allow.
var caKeys = regexp.MustCompile(`(?m)^(profile: (?:root|issuing-ca)\n(?s:.*?)keys: \{allow: \[)p\d+\]`)

// keyed returns a profile's document with the kind of key that the stack has.
func (s *Stack) keyed(source []byte) []byte {
	if s.CAKey == "" {
		return source
	}
	return caKeys.ReplaceAll(source, []byte("${1}"+string(s.CAKey)+"]"))
}

func (s *Stack) addRoot(t testing.TB, tenant pki.TenantID) {
	t.Helper()
	profile, err := packs.Document("root")
	if err != nil {
		t.Fatal(err)
	}
	der, err := ceremony.NewRoot(t.Context(), ceremony.RootConfig{
		Mode: pki.Test, CommonName: "Test Root", Organization: "Example", Profile: s.keyed(profile),
		Passphrase: pki.NewSecret(passphrase), WorkFactor: 10, Sealed: s.sealed(tenant), Now: s.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Hierarchy.ImportRoot(context.Background(), s.Permit(t, tenant, access.ManageAuthorities),
		hierarchy.NewRoot{Name: "root", Mode: pki.Test, StatusURL: StatusURL, Certificate: der})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *Stack) sealed(tenant pki.TenantID) string {
	return filepath.Join(s.dir, string(tenant)+".sealed")
}

// AddAuthority makes an active issuing authority under the tenant's root.
func (s *Stack) AddAuthority(t testing.TB, tenant pki.TenantID, name string) *hierarchy.View {
	t.Helper()
	ctx := context.Background()
	g := s.Permit(t, tenant, access.ManageAuthorities)
	_, err := s.Hierarchy.CreateAuthority(ctx, g, hierarchy.NewAuthority{
		Name: name, CommonName: "Test " + name, Kind: pki.Issuing, Parent: "root", StatusURL: StatusURL, Shards: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	request, err := s.Hierarchy.Request(ctx, g, name)
	if err != nil {
		t.Fatal(err)
	}
	return s.Sign(t, tenant, request)
}

// Answer has the root that a request of the tenant's is for do what it asks.
func (s *Stack) Answer(t testing.TB, tenant pki.TenantID, request *ceremony.Request) *ceremony.Response {
	t.Helper()
	sealed, ok := s.next[request.Root]
	if !ok {
		sealed = s.sealed(tenant)
	}
	if request.Kind == ceremony.KindRoot {
		return s.follow(t, sealed, request)
	}
	answer, err := ceremony.Sign(t.Context(), ceremony.SignConfig{
		Sealed: sealed, Passphrase: pki.NewSecret(passphrase), Request: request, Now: s.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// follow makes the root that a request asks for.
func (s *Stack) follow(t testing.TB, old string, request *ceremony.Request) *ceremony.Response {
	t.Helper()
	next := filepath.Join(s.dir, string(request.Issuer)+".sealed")
	answer, err := ceremony.Rollover(t.Context(), ceremony.RolloverConfig{
		Sealed: old, Passphrase: pki.NewSecret(passphrase), New: next, NewPassphrase: pki.NewSecret(passphrase), WorkFactor: 10,
		Request: request, Now: s.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.next == nil {
		s.next = make(map[string]string)
	}
	s.next[fmt.Sprintf("%x", sha256.Sum256(answer.Certificate))] = next
	return answer
}

// Follow has the tenant's root followed by another, by the tenant's profile and with a
// kind of key, "" for that of the root. What the ceremony made is not installed.
func (s *Stack) Follow(t testing.TB, tenant pki.TenantID, kind pki.KeyKind) *ceremony.Response {
	t.Helper()
	g := s.Permit(t, tenant, access.ManageAuthorities)
	if _, err := s.Hierarchy.Rollover(t.Context(), g, "root", hierarchy.Rollover{KeyKind: kind}); err != nil {
		t.Fatal(err)
	}
	request, err := s.Hierarchy.Request(t.Context(), g, "root")
	if err != nil {
		t.Fatal(err)
	}
	return s.Answer(t, tenant, request)
}

// Sign has the tenant's root do what the request asks, and installs the answer.
func (s *Stack) Sign(t testing.TB, tenant pki.TenantID, request *ceremony.Request) *hierarchy.View {
	t.Helper()
	v, err := s.Hierarchy.Install(context.Background(), s.Permit(t, tenant, access.ManageAuthorities), s.Answer(t, tenant, request))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// NewLog returns the service of the logs over the stack's store, with an anchor in a
// directory of its own. It does not run: Finish makes all that it does once.
func (s *Stack) NewLog(t testing.TB) *auditlog.Service {
	t.Helper()
	log, err := auditlog.New(context.Background(), auditlog.Config{
		Store: s.Store, Keys: s.Signer, Node: "test", Now: s.Now, Log: slog.New(slog.DiscardHandler), Alarms: s.Alarms, Gate: audit.NewGate(),
		Anchors: []auditlog.Anchor{anchor.NewFile(filepath.Join(t.TempDir(), "anchor"))}, Every: time.Minute, Bound: 10 * time.Minute, Archives: s.Retention,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.log = log
	return log
}

// hashes are those of the last log that was made.
func (s *Stack) hashes(ctx context.Context, tenant pki.TenantID, from int64, n int) ([]tlog.Hash, error) {
	return s.log.Hashes(ctx, tenant, from, n)
}
