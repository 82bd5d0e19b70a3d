package restapi

import (
	"bytes"
	"cmp"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/auditlog"
	"github.com/pando-pki/pando/internal/ceremony"
	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/retention"
)

// matrix is the API over real services, with two tenants: alpha, whose
// administrator attacks, and beta, which has one thing of every kind.
type matrix struct {
	stack                 *stack.Stack
	log                   *auditlog.Service
	url                   string
	alpha, beta, platform client.Token
	http                  *http.Client
	admin                 *client.Client // beta's administrator

	rootID               string
	anotherRoot          string            // PEM; one that nobody has yet
	authority            *client.Authority // active
	waiting, installable string            // ids of pending authorities
	response             string            // the ceremony's answer for installable
	tokens               []string          // ids
	certificate          *client.Enrolled
	batch                string
	revocation           string // counted
	event, grant, secret string
	profile              string // a document whose name only beta knows
	childless            bool   // beta is a child, and has none
}

// A relation is what alpha is to beta, whose things it asks for.
type relation string

const (
	strangers relation = "stranger"
	child     relation = "child"
	parent    relation = "parent"
	sibling   relation = "sibling"
)

func newMatrix(t *testing.T) *matrix { return newMatrixOf(t, strangers) }

func newMatrixOf(t *testing.T, alpha relation) *matrix {
	t.Helper()
	m := &matrix{stack: stack.New(t, stack.Config{})}
	s := m.stack
	switch alpha {
	case child:
		s.AddTenant(t, "beta", "meter")
		s.AddChild(t, "beta", "alpha", "meter")
	case parent:
		s.AddTenant(t, "alpha", "meter")
		s.AddChild(t, "alpha", "beta", "meter")
	case sibling:
		s.AddTenant(t, "both")
		s.AddChild(t, "both", "alpha", "meter")
		s.AddChild(t, "both", "beta", "meter")
	default:
		s.AddTenant(t, "alpha", "meter")
		s.AddTenant(t, "beta", "meter")
	}
	m.childless = alpha == parent || alpha == sibling
	m.log = s.NewLog(t)
	srv := httptest.NewTLSServer(New(Config{Tokens: s.Tokens, Hierarchy: s.Hierarchy, Enroll: s.Enroll, Batch: s.Batch,
		Revocation: s.Revocation, RevocationJobs: s.RevocationJobs, Status: s.Store, Log: m.log, Alarms: s.Alarms, Clock: s.Issuance, Expiry: s.Expiry, Retention: s.Retention, Trust: s.Trust, Secrets: s.Secrets, Visits: s.Visits, Access: s.Office, Quotas: s.Quotas, Approvals: s.Approvals, Registry: s.Registry, Trace: s.Trace, LotReports: s.LotReports, Version: "test", Now: m.stack.Now, Logger: slog.New(slog.DiscardHandler)}))
	t.Cleanup(srv.Close)
	m.url, m.http = srv.URL, srv.Client()
	m.alpha = m.token(t, "alpha", access.TenantAdministrator)
	m.beta = m.token(t, "beta", access.TenantAdministrator)
	m.platform = m.token(t, pki.Platform, access.PlatformOperator)
	m.admin = must(client.New(client.Config{Server: m.url, Token: m.beta, HTTPClient: srv.Client()}))(t)
	m.fill(t)
	return m
}

func (m *matrix) token(t *testing.T, tenant pki.TenantID, role access.Role) client.Token {
	t.Helper()
	_, secret, err := m.stack.Tokens.Create(t.Context(), m.stack.Permit(t, tenant, access.ManageTokens), access.NewToken{Name: string(role), Role: role})
	if err != nil {
		t.Fatal(err)
	}
	return client.TokenOf(secret.Reveal())
}

// must turns an error into the end of the test.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// fill makes one thing of every kind in beta, through the API.
func (m *matrix) fill(t *testing.T) {
	t.Helper()
	ctx, c := t.Context(), m.admin
	root := must(c.Authority(ctx, "root"))(t)
	m.rootID, m.anotherRoot = root.ID, string(pandotest.PEM(pandotest.NewRoot(t, "Another Root", time.Now()).Certificate.Raw))
	m.authority = must(c.Authority(ctx, "issuing"))(t)
	for _, name := range []string{"hidden-waiting", "hidden-installable"} {
		a := must(c.CreateAuthority(ctx, client.NewAuthority{Name: name, CommonName: "Hidden", Kind: "issuing", Parent: "root", StatusURL: stack.StatusURL}))(t)
		m.waiting, m.installable = m.installable, a.ID
	}
	m.response = m.ceremony(t, m.installable)
	for range 2 {
		m.tokens = append(m.tokens, must(c.CreateToken(ctx, client.NewToken{Name: "hidden", Role: "auditor"}))(t).ID)
	}
	source := must(packs.Document("meter"))(t)
	m.profile = strings.Replace(string(source), "profile: meter", "profile: hidden-profile", 1)
	must(c.PublishProfile(ctx, []byte(m.profile)))(t)
	must(c.CreateEndpoint(ctx, client.NewEndpoint{Name: "hidden", Authority: "issuing", Profile: "hidden-profile"}))(t)
	for _, name := range []string{"hidden-line", "hidden-other"} {
		must(c.CreateProductLine(ctx, client.NewPlace{Name: name}))(t)
	}
	for _, name := range []string{"hidden-site", "hidden-other"} {
		must(c.CreateSite(ctx, client.NewPlace{Name: name}))(t)
	}
	for _, name := range []string{"hidden-lot", "hidden-other", "hidden-closed"} {
		must(c.CreateLot(ctx, client.NewLot{Name: name, ProductLine: "hidden-line", Site: "hidden-site"}))(t)
	}
	must(c.ImportDevices(ctx, client.CSV, client.DeviceFilter{Lot: "hidden-lot"}, strings.NewReader("device\nhidden-planned\n")))(t)
	m.certificate = must(c.Enroll(ctx, client.Enrollment{Endpoint: "hidden", CSR: m.csr(t, "hidden-device"), Lot: "hidden-lot"}, ""))(t)
	m.batch = must(c.Submit(ctx, client.Submission{Endpoint: "hidden", Format: client.PEM, DryRun: true}, pandotest.PEMRequests(t, "hidden-row-", 2)))(t).ID
	for b, err := range c.Watch(ctx, m.batch) {
		if err != nil || b.Refused > 0 {
			t.Fatal(b, err)
		}
	}
	for _, name := range []string{"hidden-role", "hidden-spare"} {
		must(c.CreateRole(ctx, client.NewRole{Name: name, RoleChange: client.RoleChange{Permissions: []string{"batches.read"}}}))(t)
	}
	m.secret = must(c.CreateSecret(ctx, client.NewSecret{Endpoint: "hidden"}))(t).ID
	m.grant = must(c.AddGrant(ctx, client.NewGrant{Principal: "token:" + m.tokens[0], Role: "hidden-role"}))(t).ID
	if !m.childless {
		must(c.CreateChild(ctx, client.NewChild{ID: "beta-child", Organization: "Hidden"}))(t)
		must(c.Lend(ctx, "beta-child", "hidden-loan", client.NewLoan{Authority: "issuing", Profile: "hidden-profile", Limit: 5}))(t)
	}
	must(c.SetQuota(ctx, "product-line:hidden-line", 5000))(t)
	must(c.AddTrust(ctx, client.NewTrust{Name: "hidden", Authority: "issuing", Role: "auditor"}))(t)
	if err := m.stack.Store.PutArchive(ctx, &retention.Archive{ID: "hidden-archive", Tenant: "beta", Created: m.stack.Now(), Before: m.stack.Now()}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []pki.ChangeID{"hidden-approved", "hidden-refused", "hidden-withdrawn"} {
		ch := &approval.Change{ID: id, Tenant: "beta", Kind: approval.PublishProfile, Target: "profile:hidden", Summary: string(id), Payload: []byte("{}"),
			Requester: approval.Party{Tenant: "beta", ID: "token:other"}, Created: m.stack.Now(), Expires: m.stack.Now().Add(time.Hour), State: approval.Pending,
			Steps: []approval.Step{{Role: access.TenantAdministrator, N: 2}}}
		ch.Hash = approval.HashOf(ch.Tenant, ch.Kind, ch.Target, ch.Payload)
		ch.Requester.ID += string(id)
		if _, err := m.stack.Store.PutChange(ctx, ch, false, approval.Most{Tenant: 10, Requester: 10}, pki.Event{Tenant: "beta", At: m.stack.Now(), Action: "change.request"}); err != nil {
			t.Fatal(err)
		}
	}
	m.stack.Alarms.Raise(alarm.Alarm{Key: alarm.Key{Tenant: "beta", Name: "test.hidden", Target: "hidden"}, Severity: alarm.Critical, What: "hidden", Do: "hidden"})
	m.revocation = must(c.StartRevocation(ctx, client.NewRevocationJob{
		RevocationSelection: client.RevocationSelection{Device: "hidden-device"}, Reason: "superseded", DryRun: true}, ""))(t).ID
	for j, err := range c.WatchRevocation(ctx, m.revocation) {
		if err != nil || j.Total != 1 {
			t.Fatal(j, err)
		}
	}
	m.event = must(c.Events(ctx, client.EventFilter{}, "", 1))(t).Items[0].ID
	if err := m.log.Finish(ctx); err != nil {
		t.Fatal(err)
	}
}

func (m *matrix) csr(t *testing.T, device string) string {
	t.Helper()
	return base64.StdEncoding.EncodeToString(pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: device}))
}

// ceremony has beta's root sign what the authority asks for, without installing.
func (m *matrix) ceremony(t *testing.T, authority string) string {
	t.Helper()
	request := must(ceremony.ReadRequest(bytes.NewReader(must(m.admin.AuthorityRequest(t.Context(), authority))(t))))(t)
	answer := must(ceremony.Sign(t.Context(), ceremony.SignConfig{Sealed: m.sealed(), Passphrase: pki.NewSecret("only for tests"), Request: request, Now: time.Now}))(t)
	var file bytes.Buffer
	if err := ceremony.WriteResponse(&file, answer); err != nil {
		t.Fatal(err)
	}
	return file.String()
}

func (m *matrix) sealed() string { return filepath.Join(filepath.Dir(m.stack.Path), "beta.sealed") }

// row is a request that names something of beta's. attack is what alpha's
// administrator gets; 0 is 404. own is what beta's gets, or with platform the
// platform's operator: it shows that the request is not refused for being wrong.
// 0 is any but 401, 403 and 404.
type row struct {
	route       string
	path        string // "" is the route's
	body, media string
	attack, own int
	platform    bool
}

func (m *matrix) rows(t *testing.T) []row {
	certificate := "/certificates/" + m.certificate.Issuer + "/" + m.certificate.Serial
	batch, revocation := "/batches/"+m.batch, "/revocations/"+m.revocation
	text := func(v any) string { return string(must(json.Marshal(v))(t)) }
	hash := approval.HashOf("beta", approval.PublishProfile, "profile:hidden", []byte("{}"))
	decision := text(client.NewDecision{Hash: hex.EncodeToString(hash[:])})
	meters := func(prefix string) string { return pandotest.PEMRequests(t, prefix, 1).String() }
	return []row{
		{route: "GET /tenants", attack: 403, own: 200, platform: true},
		{route: "POST /tenants", body: `{"id":"gamma","organization":"Gamma"}`, attack: 403, own: 201, platform: true},
		{route: "GET /tenants/{tenant}", path: "/tenants/beta", attack: 403, own: 200, platform: true},
		{route: "PUT /tenants/{tenant}/settings", path: "/tenants/beta/settings", body: `{"requests_per_second":100000,"burst":100000}`, attack: 403, own: 200, platform: true},
		{route: "GET /tenants/{tenant}/tokens", path: "/tenants/beta/tokens", own: 200},
		{route: "POST /tenants/{tenant}/tokens", path: "/tenants/beta/tokens", body: `{"name":"x","role":"auditor"}`, own: 201},
		{route: "POST /tenants/{tenant}/tokens", path: "/tenants/beta/tokens", body: `{"name":"x","role":"tenant-administrator"}`, own: 201, platform: true},
		{route: "DELETE /tenants/{tenant}/tokens/{id}", path: "/tenants/alpha/tokens/" + m.tokens[0], own: 404},
		{route: "DELETE /tenants/{tenant}/tokens/{id}", path: "/tenants/beta/tokens/" + m.tokens[0], own: 204},
		{route: "POST /blocklist", body: `{"hashes":["` + strings.Repeat("ab", 32) + `"]}`, attack: 403, own: 200, platform: true},
		{route: "GET /clock", attack: 403, own: 200, platform: true},
		{route: "POST /clock/accept", attack: 403, own: 409, platform: true}, // it is right

		{route: "GET /roles", attack: 200, own: 200},
		{route: "POST /roles", body: `{"name":"hidden-role","permissions":["batches.read"]}`, attack: 201, own: 409},
		{route: "PUT /roles/{role}", path: "/roles/hidden-spare", body: `{"permissions":["enroll"]}`, own: 200},
		{route: "DELETE /roles/{role}", path: "/roles/hidden-spare", own: 204},
		{route: "GET /grants", path: "/grants?principal=token:" + m.tokens[1], attack: 200, own: 200},
		{route: "POST /grants", body: `{"principal":"token:` + m.tokens[1] + `","role":"ra-operator"}`, own: 201},
		{route: "DELETE /grants/{id}", path: "/grants/" + m.grant, own: 204},
		{route: "GET /access/explain", path: "/access/explain?permission=events.read&principal=token:" + m.tokens[1], attack: 200, own: 200},

		{route: "GET /whoami", attack: 200, own: 200},
		{route: "GET /tokens", attack: 200, own: 200},
		{route: "POST /tokens", body: `{"name":"x","role":"factory-operator","scopes":["endpoint:meter"]}`, attack: 201, own: 201},
		{route: "DELETE /tokens/{id}", path: "/tokens/" + m.tokens[1], own: 204},
		{route: "GET /events", path: "/events?before=" + m.event, attack: 200, own: 200},
		{route: "GET /events/{id}/proof", path: "/events/" + m.event + "/proof", own: 200},
		{route: "GET /log/checkpoint", attack: 200, own: 200},
		{route: "GET /log/consistency", path: "/log/consistency?from=1", attack: 200, own: 200},
		{route: "GET /log/entries", attack: 200, own: 200},
		{route: "GET /log/export", attack: 200, own: 200},
		{route: "GET /alarms", attack: 200, own: 200},
		{route: "GET /retention", attack: 200, own: 200},
		{route: "PUT /retention", body: `{"keep_seconds":31536000}`, attack: 200, own: 200},
		{route: "POST /retention/run", body: `{"dry_run":true}`, attack: 200, own: 200},
		{route: "GET /archives", attack: 200, own: 200},
		{route: "GET /archives/{id}", path: "/archives/hidden-archive", own: 200},
		{route: "GET /expiry", path: "/expiry?days=1098", attack: 200, own: 200},

		{route: "GET /children", attack: 200, own: 200},
		{route: "POST /children", body: `{"id":"beta-hidden","organization":"Hidden"}`, attack: 400, own: 201},
		{route: "POST /children/{child}/suspend", path: "/children/beta-child/suspend", own: 200},
		{route: "POST /children/{child}/resume", path: "/children/beta-child/resume", own: 200},
		{route: "POST /children/{child}/administrators", path: "/children/beta-child/administrators", body: `{"name":"x"}`, own: 201},
		{route: "GET /children/{child}/loans", path: "/children/beta-child/loans", own: 200},
		{route: "PUT /children/{child}/loans/{loan}", path: "/children/beta-child/loans/hidden-loan", body: text(client.NewLoan{Authority: m.authority.ID, Profile: "hidden-profile", Limit: 6}), own: 200},
		{route: "PUT /children/{child}/loans/{loan}", path: "/children/beta-child/loans/second", body: text(client.NewLoan{Authority: "issuing", Profile: "meter", Limit: 6}), own: 200},
		{route: "DELETE /children/{child}/loans/{loan}", path: "/children/beta-child/loans/hidden-loan", own: 204},
		{route: "GET /loans", attack: 200, own: 200},

		{route: "GET /quotas", attack: 200, own: 200},
		{route: "PUT /quotas/{quota}", path: "/quotas/profile:hidden-profile", body: `{"limit":5}`, own: 200},
		{route: "PUT /quotas/{quota}", path: "/quotas/authority:" + m.authority.ID, body: `{"limit":5000}`, own: 200},
		{route: "DELETE /quotas/{quota}", path: "/quotas/profile:hidden-profile", own: 204},

		{route: "GET /approvals/rules", attack: 200, own: 200},
		{route: "PUT /approvals/rules/{kind}", path: "/approvals/rules/authority.retire", body: `{"steps":[]}`, attack: 200, own: 200},
		{route: "GET /changes", attack: 200, own: 200},
		{route: "GET /changes/{id}", path: "/changes/hidden-approved", own: 200},
		{route: "POST /changes/{id}/approve", path: "/changes/hidden-approved/approve", body: decision, own: 200},
		{route: "POST /changes/{id}/refuse", path: "/changes/hidden-refused/refuse", body: decision, own: 200},
		{route: "POST /changes/{id}/withdraw", path: "/changes/hidden-withdrawn/withdraw", body: "{}", own: 200},

		{route: "GET /trust", attack: 200, own: 200},
		{route: "PATCH /trust/{name}", path: "/trust/hidden", body: text(client.TrustChange{Scopes: []string{"endpoint:hidden"}}), own: 200},
		{route: "DELETE /trust/{name}", path: "/trust/hidden", own: 204},
		{route: "POST /trust", body: text(client.NewTrust{Name: "mine", Authority: m.authority.ID, Role: "factory-operator"}), own: 201},
		{route: "POST /trust", body: text(client.NewTrust{Name: "other", Certificate: m.anotherRoot, Role: "auditor"}), attack: 201, own: 201},

		{route: "GET /secrets", path: "/secrets?endpoint=hidden", attack: 200, own: 200},
		{route: "GET /secrets", path: "/secrets?endpoint=beta.hidden", own: 200},
		{route: "POST /secrets", body: `{"endpoint":"hidden"}`, own: 201},
		{route: "POST /secrets", body: `{"endpoint":"beta.hidden","device":"SM-7","once":true}`, own: 201},
		{route: "GET /secrets/{id}", path: "/secrets/" + m.secret, own: 200},
		{route: "DELETE /secrets/{id}", path: "/secrets/" + m.secret, own: 204},

		{route: "GET /authorities", attack: 200, own: 200},
		{route: "POST /authorities", body: text(client.NewAuthority{Name: "below", CommonName: "Below", Kind: "issuing", Parent: m.rootID, StatusURL: stack.StatusURL}), own: 201},
		{route: "POST /authorities/roots", body: text(client.NewRoot{Name: "another", Mode: "test", StatusURL: stack.StatusURL, Certificate: m.anotherRoot}), attack: 201, own: 201},
		{route: "POST /authorities/install", body: m.response, own: 200},
		{route: "GET /authorities/{authority}", path: "/authorities/" + m.authority.ID, own: 200},
		{route: "GET /authorities/{authority}", path: "/authorities/hidden-waiting", own: 200},
		{route: "GET /authorities/{authority}/request", path: "/authorities/" + m.waiting + "/request", own: 200},
		{route: "GET /authorities/{authority}/crl-request", path: "/authorities/" + m.rootID + "/crl-request?days=90", own: 200},
		{route: "GET /authorities/{authority}/chain", path: "/authorities/" + m.authority.ID + "/chain", own: 200},

		{route: "GET /profiles", attack: 200, own: 200},
		{route: "POST /profiles", body: text(client.NewProfile{Source: strings.Replace(m.profile, "hidden-profile", "own-profile", 1)}), attack: 201, own: 201},
		{route: "POST /profiles", body: text(client.NewProfile{Source: strings.Replace(m.profile, "hidden-profile", "own-profile", 1)}), attack: 200, own: 200}, // again
		{route: "GET /profiles/{name}", path: "/profiles/hidden-profile", own: 200},
		{route: "GET /profiles/{name}/versions", path: "/profiles/hidden-profile/versions", own: 200},

		{route: "GET /endpoints", attack: 200, own: 200},
		{route: "POST /endpoints", body: text(client.NewEndpoint{Name: "mine", Authority: m.authority.ID, Profile: "meter"}), own: 201},
		{route: "POST /endpoints", body: text(client.NewEndpoint{Name: "other", Authority: "issuing", Profile: "hidden-profile"}), own: 201},
		{route: "GET /endpoints/{endpoint}", path: "/endpoints/hidden", own: 200},
		{route: "GET /endpoints/{endpoint}", path: "/endpoints/beta.hidden", own: 200},
		{route: "PATCH /endpoints/{endpoint}", path: "/endpoints/beta.hidden", body: `{"protocols":["batch","rest"]}`, own: 200},
		{route: "GET /endpoints/{endpoint}/trace", path: "/endpoints/hidden/trace", own: 200},
		{route: "PATCH /endpoints/{endpoint}", path: "/endpoints/meter", body: `{"profile":"hidden-profile"}`, own: 200},

		{route: "POST /enrollments", body: text(client.Enrollment{Endpoint: "beta.hidden", CSR: m.csr(t, "device-1")}), own: 201},
		{route: "POST /enrollments", body: text(client.Enrollment{Endpoint: "hidden", CSR: m.csr(t, "device-2")}), own: 201},
		{route: "GET /certificates", path: "/certificates?device=hidden-device", attack: 200, own: 200},
		{route: "GET /certificates/{issuer}/{serial}", path: certificate, own: 200},
		{route: "GET /certificates/{issuer}/{serial}/proof", path: certificate + "/proof", own: 200},
		{route: "GET /certificates/{issuer}/{serial}/trace", path: certificate + "/trace", own: 200},
		{route: "GET /certificates/{issuer}/{serial}", path: "/certificates/-/" + m.certificate.Serial, own: 200},
		{route: "GET /certificates/{issuer}/{serial}/proof", path: "/certificates/-/" + m.certificate.Serial + "/proof", own: 200},
		{route: "GET /certificates/{issuer}/{serial}/trace", path: "/certificates/-/" + m.certificate.Serial + "/trace", own: 200},

		{route: "GET /crls", path: "/crls?limit=1000", attack: 200, own: 200},
		{route: "POST /crls/{issuer}/renew", path: "/crls/" + m.authority.Issuers[0].ID + "/renew", body: "{}", own: 204},
		{route: "GET /ocsp/responders", attack: 200, own: 200},

		{route: "GET /registry", attack: 200, own: 200},
		{route: "GET /product-lines", attack: 200, own: 200},
		{route: "POST /product-lines", body: `{"name":"hidden-line"}`, attack: 201, own: 409},
		{route: "GET /product-lines/{name}", path: "/product-lines/hidden-other", own: 200},
		{route: "PATCH /product-lines/{name}", path: "/product-lines/hidden-other", body: `{"description":"x"}`, own: 200},
		{route: "GET /sites", attack: 200, own: 200},
		{route: "POST /sites", body: `{"name":"hidden-site"}`, attack: 201, own: 409},
		{route: "GET /sites/{name}", path: "/sites/hidden-other", own: 200},
		{route: "PATCH /sites/{name}", path: "/sites/hidden-other", body: `{"description":"x"}`, own: 200},
		{route: "GET /lots", path: "/lots?product_line=hidden-line", attack: 200, own: 200},
		{route: "POST /lots", body: `{"name":"hidden-lot"}`, attack: 201, own: 409},
		{route: "GET /lots/{name}", path: "/lots/hidden-other", own: 200},
		{route: "POST /lots/{name}/close", path: "/lots/hidden-closed/close", body: `{"scrapped":1}`, own: 200},
		{route: "GET /lots/{name}/report", path: "/lots/hidden-closed/report", own: 200},
		{route: "GET /lot-report-key", own: 200},
		{route: "PATCH /lots/{name}", path: "/lots/hidden-other", body: `{"ordered":7}`, own: 200},
		{route: "GET /devices", path: "/devices?prefix=hidden", attack: 200, own: 200},
		{route: "POST /devices", media: mediaNDJSON, body: `{"device":"planned-device","lot":"hidden-lot"}`, attack: 200, own: 200},
		{route: "GET /devices/{device}", path: "/devices/hidden-device", own: 200},
		{route: "POST /devices/{device}/activate", path: "/devices/hidden-device/activate", body: "{}", own: 200},
		{route: "POST /devices/{device}/suspend", path: "/devices/hidden-device/suspend", body: "{}", own: 200},
		{route: "POST /devices/{device}/resume", path: "/devices/hidden-device/resume", body: "{}", own: 200},
		{route: "POST /devices/{device}/return", path: "/devices/hidden-device/return", body: "{}", own: 200},
		{route: "POST /devices/{device}/decommission", path: "/devices/hidden-planned/decommission", body: "{}", own: 200},
		{route: "PATCH /registry", body: `{"strict":true}`, attack: 200, own: 200},

		{route: "POST /batches", path: "/batches?endpoint=beta.hidden", media: mediaPEMFile, body: meters("b"), own: 202},
		{route: "POST /batches", path: "/batches?endpoint=hidden&dry_run=true", media: mediaPEMFile, body: meters("c"), own: 202},
		{route: "GET /batches", path: "/batches?limit=1000", attack: 200, own: 200},
		{route: "GET /batches/{id}", path: batch, own: 200},
		{route: "GET /batches/{id}/events", path: batch + "/events", own: 200},
		{route: "GET /batches/{id}/results", path: batch + "/results", own: 200},
		{route: "POST /batches/{id}/issue", path: batch + "/issue", own: 200},
		{route: "POST /batches/{id}/pause", path: batch + "/pause"}, // 409 where it is done already, which it soon is
		{route: "POST /batches/{id}/resume", path: batch + "/resume"},
		{route: "POST /batches/{id}/cancel", path: batch + "/cancel"},
		{route: "POST /batches/{id}/retry", path: batch + "/retry", body: `{}`}, // 409: it refused nothing

		{route: "POST /certificates/{issuer}/{serial}/revoke", path: certificate + "/revoke", body: `{"reason":"certificateHold"}`, own: 200},
		{route: "POST /certificates/{issuer}/{serial}/release", path: certificate + "/release", own: 200},
		{route: "POST /certificates/{issuer}/{serial}/revoke", path: certificate + "/revoke", body: `{"reason":"superseded"}`, own: 200},
		{route: "POST /revocations", body: `{"device":"hidden-device","reason":"superseded","dry_run":true}`, own: 201},
		{route: "POST /revocations", body: `{"issuer":"` + m.certificate.Issuer + `","reason":"superseded","dry_run":true}`, own: 201},
		{route: "GET /revocations", attack: 200, own: 200},
		{route: "GET /revocations/{id}", path: revocation, own: 200},
		{route: "GET /revocations/{id}/counts", path: revocation + "/counts", own: 200},
		{route: "GET /revocations/{id}/events", path: revocation + "/events", own: 200},
		{route: "POST /revocations/{id}/pause", path: revocation + "/pause", own: 409},
		{route: "POST /revocations/{id}/resume", path: revocation + "/resume", own: 409},
		{route: "POST /revocations/{id}/run", path: revocation + "/run", own: 200},
		{route: "POST /revocations/{id}/cancel", path: revocation + "/cancel"},
		{route: "POST /authorities/{authority}/rollover", path: "/authorities/" + m.authority.ID + "/rollover", body: "{}", own: 201},
		{route: "POST /authorities/{authority}/switch", path: "/authorities/" + m.authority.ID + "/switch", own: 409}, // its next issuer waits
		{route: "POST /authorities/{authority}/indexes", path: "/authorities/" + m.authority.ID + "/indexes", body: `{"indexes":["expiry","subject"]}`, own: 200},
		{route: "POST /authorities/{authority}/indexes", path: "/authorities/" + m.authority.ID + "/indexes", body: `{"indexes":["fingerprint"]}`, own: 409}, // others are being made
		{route: "POST /authorities/{authority}/indexes", path: "/authorities/" + m.authority.ID + "/indexes", body: `{"indexes":["owner"]}`, own: 400},
		{route: "DELETE /authorities/{authority}/next", path: "/authorities/" + m.authority.ID + "/next", own: 204},
		{route: "POST /authorities/{authority}/retire", path: "/authorities/" + m.authority.ID + "/retire", own: 204},
	}
}

// ask sends a row's request and returns the answer.
func (m *matrix) ask(t *testing.T, r row, token client.Token) (status int, text string) {
	t.Helper()
	method, path, _ := strings.Cut(r.route, " ")
	if r.path != "" {
		path = r.path
	}
	req := must(http.NewRequestWithContext(t.Context(), method, m.url+prefix+path, strings.NewReader(r.body)))(t)
	if req.Header.Set("Content-Type", mediaJSON); r.media != "" {
		req.Header.Set("Content-Type", r.media)
	}
	if !token.IsZero() {
		req.Header.Set("Authorization", "Bearer "+token.Reveal())
	}
	resp := must(m.http.Do(req))(t)
	defer resp.Body.Close()
	return resp.StatusCode, string(must(io.ReadAll(resp.Body))(t))
}

// seen returns all that beta can see of itself.
func (m *matrix) seen(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, path := range []string{"/tokens", "/events?limit=1000", "/authorities", "/profiles", "/endpoints", "/certificates", "/batches", "/revocations", "/alarms", "/trust", "/roles", "/grants", "/quotas", "/changes", "/approvals/rules",
		"/registry", "/product-lines", "/sites", "/lots", "/devices"} {
		status, text := m.ask(t, row{route: "GET " + path}, m.beta)
		if status != 200 {
			t.Fatalf("GET %s: %d %s", path, status, text)
		}
		all[path] = text
	}
	return all
}

// attack has alpha ask for beta's things, and sees that it gets nothing and changes
// nothing.
func (m *matrix) attack(t *testing.T, rows []row) {
	t.Helper()
	before := m.seen(t)
	secrets := []string{"hidden", "beta", m.rootID, m.authority.ID, m.authority.Issuers[0].ID, m.waiting, m.installable,
		m.certificate.Issuer, m.certificate.Serial, m.batch, m.revocation, m.event, m.grant, m.secret, m.tokens[0], m.tokens[1]}
	for _, r := range rows {
		t.Run("attack/"+r.name(), func(t *testing.T) {
			if status, text := m.ask(t, r, client.Token{}); status != http.StatusUnauthorized {
				t.Errorf("without a token: %d %s", status, text)
			}
			status, text := m.ask(t, r, m.alpha)
			if want := cmp.Or(r.attack, http.StatusNotFound); status != want {
				t.Errorf("%d %s, want %d", status, text, want)
			}
			asked := r.path + r.body
			for _, secret := range secrets {
				// What was asked for may come back; nothing more.
				if strings.Contains(text, secret) && !strings.Contains(asked, secret) {
					t.Errorf("the answer tells %q: %s", secret, text)
				}
			}
		})
	}
	if diff := gocmp.Diff(before, m.seen(t)); diff != "" {
		t.Errorf("the attacks changed something: %s", diff)
	}
}

// TestFamily asks for the things of a parent as its child, for those of a child as its
// parent, and for those of one child as the other: each gets what a stranger gets.
func TestFamily(t *testing.T) {
	for _, alpha := range []relation{child, parent, sibling} {
		t.Run(string(alpha), func(t *testing.T) {
			m := newMatrixOf(t, alpha)
			rows := m.rows(t)
			if alpha == parent { // who knows its children
				rows = slices.DeleteFunc(rows, func(r row) bool { return r.route == "GET /children" })
			}
			m.attack(t, rows)
		})
	}
}

// TestMatrix asks every route for another tenant's things.
func TestMatrix(t *testing.T) {
	m := newMatrix(t)
	rows := m.rows(t)
	for _, rt := range Routes() {
		name := rt.Method + " " + rt.Path
		if !slices.ContainsFunc(rows, func(r row) bool { return r.route == name }) {
			t.Errorf("%s has no row: say what another tenant gets", name)
		}
	}
	m.attack(t, rows)
	for _, r := range rows {
		t.Run("own/"+r.name(), func(t *testing.T) {
			token := m.beta
			if r.platform {
				token = m.platform
			}
			status, text := m.ask(t, r, token)
			if r.own != 0 && status != r.own || r.own == 0 && (status == 401 || status == 403 || status == 404) {
				t.Errorf("%d %s, want %d", status, text, r.own)
			}
		})
	}
}

func (r row) name() string {
	_, path, _ := strings.Cut(r.path, "/")
	return strings.ReplaceAll(r.route+" "+path, "/", "|")
}

// TestRoles asks every route with every role, for things that are nowhere: what
// the role does not include is refused before anything is looked for, and the refusal
// names the permission and where it is missing.
func TestRoles(t *testing.T) {
	m := &matrix{stack: stack.New(t, stack.Config{Stopped: true})}
	m.stack.AddTenant(t, "demo")
	srv := httptest.NewTLSServer(New(Config{Tokens: m.stack.Tokens, Hierarchy: m.stack.Hierarchy, Enroll: m.stack.Enroll, Batch: m.stack.Batch,
		Revocation: m.stack.Revocation, RevocationJobs: m.stack.RevocationJobs, Status: m.stack.Store, Log: m.stack.NewLog(t), Alarms: m.stack.Alarms, Clock: m.stack.Issuance, Expiry: m.stack.Expiry, Retention: m.stack.Retention, Trust: m.stack.Trust, Secrets: m.stack.Secrets, Visits: m.stack.Visits, Access: m.stack.Office, Quotas: m.stack.Quotas, Approvals: m.stack.Approvals, Registry: m.stack.Registry, Trace: m.stack.Trace, LotReports: m.stack.LotReports, Version: "test", Now: m.stack.Now, Logger: slog.New(slog.DiscardHandler)}))
	defer srv.Close()
	m.url, m.http = srv.URL, srv.Client()
	if got := len(Routes()); got != len(permissions) {
		t.Errorf("%d routes have a permission written down, and there are %d", len(permissions), got)
	}
	for _, role := range access.Roles() {
		tenant := pki.TenantID("demo")
		if role == access.PlatformOperator {
			tenant = pki.Platform
		}
		token := m.token(t, tenant, role)
		who := access.Principal{Tenant: tenant, ID: "token:test", Grants: access.Given(role)}
		for _, rt := range Routes() {
			target := tenant
			if rt.Tenant {
				target = "demo"
			}
			needs, known := permissions[rt.Method+" "+rt.Path]
			if !known {
				t.Errorf("%s %s has no permission written down", rt.Method, rt.Path)
			}
			_, refused := who.Authorize(needs, target)
			forbidden := needs != "" && pki.KindOf(refused) == pki.Forbidden && refused != nil
			path := strings.NewReplacer("{tenant}", "demo", "{serial}", "01", "{", "", "}", "").Replace(rt.Path)
			status, text := m.ask(t, row{route: rt.Method + " " + path, body: "{}"}, token)
			if (status == http.StatusForbidden) != forbidden || status == http.StatusUnauthorized || status >= 500 {
				t.Errorf("%s: %s %s: %d %s", role, rt.Method, path, status, text)
			}
			if forbidden && !strings.Contains(text, fmt.Sprintf(`"permission":%q`, needs)) || forbidden && !strings.Contains(text, `"scope":"`) {
				t.Errorf("%s: %s %s does not say which permission is missing where: %s", role, rt.Method, path, text)
			}
		}
	}
}
