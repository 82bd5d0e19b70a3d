package restapi

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
)

// family is a parent that lends to one of its two children, over real services.
type family struct {
	stack                  *stack.Stack
	parent, child, sibling *client.Client
	m                      *matrix      // only to ask
	token                  client.Token // of the child
}

func newFamily(t *testing.T, limits *limit.Limits) *family {
	t.Helper()
	s := stack.New(t, stack.Config{})
	s.AddTenant(t, "acme", "meter")
	srv := httptest.NewTLSServer(New(Config{Tokens: s.Tokens, Hierarchy: s.Hierarchy, Enroll: s.Enroll, Batch: s.Batch,
		Revocation: s.Revocation, RevocationJobs: s.RevocationJobs, Status: s.Store, Log: s.NewLog(t), Alarms: s.Alarms, Clock: s.Issuance, Expiry: s.Expiry, Retention: s.Retention, Trust: s.Trust, Secrets: s.Secrets, Visits: s.Visits, Access: s.Office, Quotas: s.Quotas, Approvals: s.Approvals,
		Registry: s.Registry, Trace: s.Trace, LotReports: s.LotReports, Limits: limits, Version: "test", Now: s.Now, Logger: slog.New(slog.DiscardHandler)}))
	t.Cleanup(srv.Close)
	as := func(token client.Token) *client.Client {
		return must(client.New(client.Config{Server: srv.URL, Token: token, HTTPClient: srv.Client()}))(t)
	}
	m := &matrix{stack: s, url: srv.URL, http: srv.Client()}
	f := &family{stack: s, m: m, parent: as(m.token(t, "acme", access.TenantAdministrator))}
	for _, x := range []struct {
		id string
		to **client.Client
	}{{"acme-oem", &f.child}, {"acme-other", &f.sibling}} {
		must(f.parent.CreateChild(t.Context(), client.NewChild{ID: x.id, Organization: "Example " + x.id}))(t)
		token := must(f.parent.Appoint(t.Context(), x.id, client.Appointment{Name: "administrator"}))(t).Secret
		if *x.to = as(token); x.to == &f.child {
			f.token = token
		}
	}
	return f
}

// refused reports an error unless err is a refusal of the kind.
func refused(t *testing.T, kind string, err error) {
	t.Helper()
	if p, ok := errors.AsType[*client.Problem](err); !ok || p.Kind != kind {
		t.Errorf("got %v, want one of kind %s", err, kind)
	}
}

// TestLoan: a child issues from what it was lent, as often as it may, until that is
// taken back. Device, results and quota are the child's; the log has it with the
// parent, which sees the certificate and not where it belongs, and may revoke it.
func TestLoan(t *testing.T) {
	f := newFamily(t, nil)
	ctx, m := t.Context(), f.m
	must(f.parent.Lend(ctx, "acme-oem", "meters", client.NewLoan{Authority: "issuing", Profile: "meter", Limit: 2}))(t)
	_, err := f.parent.Lend(ctx, "acme-oem", "servers", client.NewLoan{Authority: "issuing", Profile: "tls-server", Limit: 2})
	refused(t, "policy-refused", err) // the child's endpoint would say whose names
	_, err = f.child.CreateEndpoint(ctx, client.NewEndpoint{Name: "line", Authority: "issuing", Profile: "meter"})
	refused(t, "not-found", err)
	_, err = f.sibling.CreateEndpoint(ctx, client.NewEndpoint{Name: "line", Loan: "meters"})
	refused(t, "not-found", err)
	must(f.child.CreateEndpoint(ctx, client.NewEndpoint{Name: "line", Loan: "meters"}))(t)
	_, err = f.child.ChangeEndpoint(ctx, "line", client.EndpointChange{Profile: "tls-server"})
	refused(t, "policy-refused", err)

	got := must(f.child.Enroll(ctx, client.Enrollment{Endpoint: "line", CSR: m.csr(t, "SM-1"), ProductLine: "theirs"}, ""))(t)
	if got.Profile.Hash == "" {
		t.Error("the child is not told the hash of its parent's profile")
	}
	if d := must(f.child.Device(ctx, "SM-1"))(t); d.ProductLine != "theirs" {
		t.Errorf("the child's device is %+v", d)
	}
	for _, other := range []*client.Client{f.parent, f.sibling} {
		_, err := other.Device(ctx, "SM-1")
		refused(t, "not-found", err)
	}
	if c := must(f.parent.Certificate(ctx, got.Issuer, got.Serial))(t); c.ProductLine != "" || c.Device != "SM-1" {
		t.Errorf("the parent sees %+v", c)
	}
	_, err = f.sibling.Certificate(ctx, got.Issuer, got.Serial)
	refused(t, "not-found", err)
	_, err = f.child.Authority(ctx, "issuing")
	refused(t, "not-found", err)
	if status := must(f.parent.Revoke(ctx, got.Issuer, got.Serial, "superseded"))(t); status == nil {
		t.Error("the parent cannot revoke what its authority issued")
	}

	must(f.child.Enroll(ctx, client.Enrollment{Endpoint: "line", CSR: m.csr(t, "SM-2")}, ""))(t)
	_, err = f.child.Enroll(ctx, client.Enrollment{Endpoint: "line", CSR: m.csr(t, "SM-3")}, "")
	refused(t, "quota-exceeded", err)
	if l := must(f.child.Loans(ctx))(t); len(l) != 1 || l[0].Used != 2 {
		t.Errorf("the child's loans are %+v", l)
	}
	if q := must(f.parent.Quotas(ctx))(t); len(q) != 0 {
		t.Errorf("the parent has the quotas %+v", q)
	}
	refused(t, "not-found", f.sibling.TakeBack(ctx, "acme-oem", "meters"))
	if err := f.parent.TakeBack(ctx, "acme-oem", "meters"); err != nil {
		t.Fatal(err)
	}
	_, err = f.child.Enroll(ctx, client.Enrollment{Endpoint: "line", CSR: m.csr(t, "SM-4")}, "")
	refused(t, "forbidden", err)
	if p, ok := errors.AsType[*client.Problem](err); !ok || p.Why != string(pki.LoanEnded) {
		t.Errorf("it does not say why: %+v", p)
	}
}

// TestParentsIssuers: a child is answered about an issuer of its parent's, of which nothing
// was ever lent to it, as about one that is not there; so is a stranger.
func TestParentsIssuers(t *testing.T) {
	f := newFamily(t, nil)
	ctx, m := t.Context(), f.m
	m.stack.AddTenant(t, "globex")
	stranger := m.token(t, "globex", access.TenantAdministrator)
	must(f.parent.Lend(ctx, "acme-other", "meters", client.NewLoan{Authority: "issuing", Profile: "meter", Limit: 1}))(t) // to its sibling
	must(f.parent.CreateAuthority(ctx, client.NewAuthority{Name: "waits", CommonName: "Waits", Kind: "issuing", Parent: "root", StatusURL: stack.StatusURL}))(t)
	about := func(id string) []row {
		certificate := "/certificates/" + id + "/01"
		return []row{
			{route: "GET /certificates?issuer=" + id},
			{route: "GET /certificates/export?issuer=" + id},
			{route: "GET " + certificate},
			{route: "GET " + certificate + "/proof"},
			{route: "GET " + certificate + "/trace"},
			{route: "POST " + certificate + "/revoke", body: `{"reason":"superseded"}`},
			{route: "POST " + certificate + "/release", body: "{}"},
			{route: "POST /crls/" + id + "/renew", body: "{}"},
			{route: "POST /revocations", body: `{"issuer":"` + id + `","reason":"superseded","dry_run":true}`},
			{route: "POST /revocations", body: `{"issuer":"` + id + `","reason":"superseded"}`},
			{route: "POST /revocations", body: `{"issuer":"` + id + `","release":true}`},
			{route: "POST /authorities/install", body: `{"kind":"certificate","issuer":"` + id + `","certificate":"AA==","profile_version":1}`},
			{route: "POST /authorities/install", body: `{"kind":"crl","root_issuer":"` + id + `","crl":"AA=="}`},
		}
	}
	const nothing = "nothing"
	for name, token := range map[string]client.Token{"child": f.token, "stranger": stranger} {
		for _, authority := range []string{"root", "issuing", "waits"} {
			id := must(f.parent.Authority(ctx, authority))(t).Issuers[0].ID
			missing := about(nothing)
			for i, r := range about(id) {
				status, text := m.ask(t, r, token)
				want, said := m.ask(t, missing[i], token)
				if text = strings.ReplaceAll(text, id, nothing); status != want || text != said || status != http.StatusNotFound {
					t.Errorf("%s, %s, the issuer of %s: %d %s\nof nobody: %d %s", name, missing[i].route, authority, status, text, want, said)
				}
			}
		}
	}
}

// TestSuspended: nobody of a suspended child is heard, at once, and its sibling is as
// it was.
func TestSuspended(t *testing.T) {
	f := newFamily(t, nil)
	ctx := t.Context()
	must(f.child.WhoAmI(ctx))(t) // and it is remembered
	must(f.parent.SuspendChild(ctx, "acme-oem"))(t)
	_, err := f.child.WhoAmI(ctx)
	refused(t, "forbidden", err)
	if p, ok := errors.AsType[*client.Problem](err); !ok || p.Why != string(pki.TenantSuspended) || !strings.Contains(err.Error(), "suspended by its parent") {
		t.Error(err)
	}
	must(f.sibling.WhoAmI(ctx))(t)
	must(f.parent.ResumeChild(ctx, "acme-oem"))(t)
	must(f.child.WhoAmI(ctx))(t)
}

// TestChildCannotExhaust: what a child sends comes out of its part of the family's rate,
// and leaves its parent's and its sibling's.
func TestChildCannotExhaust(t *testing.T) {
	families := func(t pki.TenantID) pki.TenantID {
		if strings.HasPrefix(string(t), "acme-") {
			return "acme"
		}
		return t
	}
	f := newFamily(t, limit.New(limit.Config{Tenant: limit.Rate{PerSecond: 1, Burst: 60}, Family: families, Now: time.Now}))
	ctx := t.Context()
	status := 0
	for n := 0; n < 1000 && status != http.StatusTooManyRequests; n++ { // not by the client, which waits
		status, _ = f.m.ask(t, row{route: "GET /whoami"}, f.token)
	}
	if status != http.StatusTooManyRequests {
		t.Error("the child has no rate")
	}
	must(f.parent.WhoAmI(ctx))(t)
	must(f.sibling.WhoAmI(ctx))(t)
}
