package server

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"io"
	"math/big"
	"net/http"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/trust"
)

// A caller asks the listener for devices with a client certificate.
type caller struct {
	t     *testing.T
	s     *Server
	roots *x509.CertPool
	key   crypto.Signer
	chain [][]byte // nil for none
}

func (c caller) ask(method, path, body string, headers ...string) (int, string) {
	c.t.Helper()
	answer := c.send(method, "/api/v1"+path, []byte(body), append([]string{"Content-Type", "application/json"}, headers...)...)
	text, _ := io.ReadAll(answer.Body) // of a buffer
	return answer.StatusCode, string(text)
}

// send sends a request; headers come in pairs. The answer's body has been read.
func (c caller) send(method, path string, body []byte, headers ...string) *http.Response {
	c.t.Helper()
	cfg := &tls.Config{RootCAs: c.roots, ServerName: "localhost"}
	if c.chain != nil {
		cfg.Certificates = []tls.Certificate{{Certificate: c.chain, PrivateKey: c.key}}
	}
	over := &http.Client{Transport: &http.Transport{TLSClientConfig: cfg}}
	defer over.CloseIdleConnections()
	r, err := http.NewRequest(method, c.s.URL("devices")+path, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := over.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	answer.Body = io.NopCloser(bytes.NewReader(text))
	return answer
}

// want asks and reports another status.
func (c caller) want(status int, method, path, body string, headers ...string) string {
	c.t.Helper()
	got, text := c.ask(method, path, body, headers...)
	if got != status {
		c.t.Errorf("%s %s: %d %s, want %d", method, path, got, text, status)
	}
	return text
}

func enrollment(t *testing.T, e client.Enrollment) string {
	t.Helper()
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func csrOf(t *testing.T, key crypto.Signer, device string) string {
	return base64.StdEncoding.EncodeToString(pandotest.CSR(t, key, pkix.Name{SerialNumber: device}))
}

// trusting returns a running server with the tenant acme, and a meter's key and chain
// by its own authority.
func trusting(t *testing.T) (*Server, *stack.Stack, caller, *pki.Certificate) {
	t.Helper()
	s := open(t, newConfig(t), time.Now)
	run(t, s)
	roots := bootstrapOf(t, s)
	st := furnish(t, s, "acme", "meter")
	key := pandotest.Key(t, pki.P256)
	got, err := s.enroll.Enroll(t.Context(), enroll.Request{Grant: st.Permit(t, "acme", access.Enroll), Endpoint: "meter", Protocol: pki.ProtocolREST,
		Subject: enroll.Subject{CSR: pandotest.CSR(t, key, pkix.Name{SerialNumber: "SM-1"})}})
	if err != nil {
		t.Fatal(err)
	}
	return s, st, caller{t, s, roots, key, append([][]byte{got.Certificate.DER}, got.Chain...)}, got.Certificate
}

func (c caller) trust(tenant pki.TenantID, n trust.NewAnchor) {
	c.t.Helper()
	g, err := access.Principal{Tenant: tenant, ID: "token:1", Grants: access.Given(access.TenantAdministrator)}.Authorize(access.ManageTrust, tenant)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.s.trust.Add(c.t.Context(), g, n); err != nil {
		c.t.Fatal(err)
	}
}

// TestDeviceByCertificate: a device whose authority the tenant trusts enrols for
// itself, by TLS, until its certificate is revoked.
func TestDeviceByCertificate(t *testing.T) {
	s, st, meter, certificate := trusting(t)
	meter.want(http.StatusUnauthorized, "GET", "/whoami", "")
	meter.trust("acme", trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "meter"}}})
	who := new(client.Identity)
	if err := json.Unmarshal([]byte(meter.want(http.StatusOK, "GET", "/whoami", "")), who); err != nil {
		t.Fatal(err)
	}
	if want := "certificate:" + string(certificate.Issuer) + "/" + certificate.Serial.String(); who.ID != want || len(who.Grants) != 1 || who.Grants[0].Role != "device" || who.Grants[0].Scope != "endpoint:meter" || who.Tenant != "acme" || !who.Expires.Equal(certificate.NotAfter) {
		t.Errorf("%+v, want the id %s", who, want)
	}

	fresh := pandotest.Key(t, pki.P256)
	meter.want(http.StatusCreated, "POST", "/enrollments", enrollment(t, client.Enrollment{Endpoint: "meter", CSR: csrOf(t, fresh, "SM-1")}))
	other := pandotest.Key(t, pki.P256)
	for what, e := range map[string]client.Enrollment{
		"the CSR names another":      {Endpoint: "meter", CSR: csrOf(t, other, "SM-2")},
		"the request names another":  {Endpoint: "meter", CSR: csrOf(t, other, "SM-1"), Device: "SM-2"},
		"it says where it belongs":   {Endpoint: "meter", CSR: csrOf(t, other, "SM-1"), Lot: "2026-17"},
		"it gives itself attributes": {Endpoint: "meter", CSR: csrOf(t, other, "SM-1"), Attributes: map[string]string{"a": "b"}},
	} {
		if status, text := meter.ask("POST", "/enrollments", enrollment(t, e)); status != http.StatusForbidden {
			t.Errorf("%s: %d %s", what, status, text)
		}
	}
	meter.want(http.StatusConflict, "POST", "/enrollments", enrollment(t, client.Enrollment{Endpoint: "meter", CSR: csrOf(t, meter.key, "SM-1")})) // its key again, which the profile does not allow
	meter.want(http.StatusForbidden, "POST", "/enrollments", enrollment(t, client.Enrollment{Endpoint: "other", CSR: csrOf(t, other, "SM-1")}))
	meter.want(http.StatusForbidden, "GET", "/certificates", "")
	meter.want(http.StatusForbidden, "GET", "/trust", "")

	// Where they have their role can change, and holds at once.
	if _, err := s.enroll.CreateEndpoint(t.Context(), st.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{Name: "spare", Authority: "issuing", Profile: "meter"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.trust.Update(t.Context(), st.Permit(t, "acme", access.ManageTrust), "devices", []access.Scope{{Endpoint: "spare"}}); err != nil {
		t.Fatal(err)
	}
	meter.want(http.StatusForbidden, "POST", "/enrollments", enrollment(t, client.Enrollment{Endpoint: "meter", CSR: csrOf(t, other, "SM-1")}))
	meter.want(http.StatusCreated, "POST", "/enrollments", enrollment(t, client.Enrollment{Endpoint: "spare", CSR: csrOf(t, other, "SM-1")}))

	nobody := meter
	nobody.chain = nil
	nobody.want(http.StatusUnauthorized, "GET", "/whoami", "")
	_, secret, err := s.tokens.Create(t.Context(), st.Permit(t, "acme", access.ManageTokens), access.NewToken{Name: "x", Role: access.TenantAdministrator})
	if err != nil {
		t.Fatal(err)
	}
	nobody.want(http.StatusUnauthorized, "GET", "/whoami", "", "Authorization", "Bearer "+secret.Reveal())

	if _, err := s.revocation.Revoke(t.Context(), st.Permit(t, "acme", access.Revoke), certificate.Issuer, certificate.Serial, pki.KeyCompromise); err != nil {
		t.Fatal(err)
	}
	meter.want(http.StatusUnauthorized, "GET", "/whoami", "")
}

// TestOthersTrust: a tenant that trusts the authority of another, or imports its root,
// neither draws its devices to itself nor keeps them out.
func TestOthersTrust(t *testing.T) {
	_, st, meter, _ := trusting(t)
	st.AddTenant(t, "globex", "meter")
	tenant := func(headers ...string) string {
		t.Helper()
		status, text := meter.ask("GET", "/whoami", "", headers...)
		if status != http.StatusOK {
			return http.StatusText(status)
		}
		who := new(client.Identity)
		if err := json.Unmarshal([]byte(text), who); err != nil {
			t.Fatal(err)
		}
		return who.Tenant
	}
	meter.trust("globex", trust.NewAnchor{Name: "theirs", Certificate: meter.chain[1], Role: access.FactoryOperator, Scopes: []access.Scope{{Endpoint: "meter"}}})
	if got := tenant(); got != "Unauthorized" {
		t.Errorf("a device of acme that names no tenant is %s", got)
	}
	if got := tenant("Pando-Tenant", "globex"); got != "globex" {
		t.Errorf("a device of acme that goes to globex is %s", got)
	}
	root, err := st.Hierarchy.Authority(t.Context(), st.Permit(t, "acme", access.ReadConfiguration), "root")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Hierarchy.ImportRoot(t.Context(), st.Permit(t, "globex", access.ManageAuthorities), hierarchy.NewRoot{
		Name: "acmes", Mode: pki.Test, StatusURL: stack.StatusURL, Certificate: root.Issuers[0].Certificate}); err != nil {
		t.Fatal(err)
	}
	meter.trust("acme", trust.NewAnchor{Name: "ours", Certificate: root.Issuers[0].Certificate, Role: access.Device, Scopes: []access.Scope{{Endpoint: "meter"}}})
	if got := tenant(); got != "acme" {
		t.Errorf("a device of acme, whose root globex has imported, is %s", got)
	}
}

// TestBorrowedCertificate: a child to which an authority is lent names its devices as it
// likes; to its parent and to other children their certificates prove nobody.
func TestBorrowedCertificate(t *testing.T) {
	s, st, meter, _ := trusting(t)
	children := st.Permit(t, "acme", access.ManageChildren)
	borrower := meter
	for _, id := range []pki.TenantID{"acme-oem", "acme-other"} {
		if _, err := s.hierarchy.CreateChild(t.Context(), children, id, "Example "+string(id)); err != nil {
			t.Fatal(err)
		}
		meter.trust(id, trust.NewAnchor{Name: "lender", Certificate: meter.chain[1], Role: access.FactoryOperator, Scopes: []access.Scope{{}}})
	}
	meter.trust("acme", trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "meter"}}})
	if _, err := s.hierarchy.Lend(t.Context(), children, "acme-oem", hierarchy.NewLoan{Name: "meters", Authority: "issuing", Profile: "meter", Limit: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.enroll.CreateEndpoint(t.Context(), st.Permit(t, "acme-oem", access.ManageEndpoints), enroll.NewEndpoint{Name: "line", Loan: "meters"}); err != nil {
		t.Fatal(err)
	}
	borrower.key = pandotest.Key(t, pki.P256)
	got, err := s.enroll.Enroll(t.Context(), enroll.Request{Grant: st.Permit(t, "acme-oem", access.Enroll), Endpoint: "line", Protocol: pki.ProtocolREST,
		Subject: enroll.Subject{CSR: pandotest.CSR(t, borrower.key, pkix.Name{SerialNumber: "SM-1"})}})
	if err != nil {
		t.Fatal(err)
	}
	borrower.chain = append([][]byte{got.Certificate.DER}, got.Chain...)
	for tenant, want := range map[string]int{"acme": http.StatusUnauthorized, "acme-other": http.StatusUnauthorized, "acme-oem": http.StatusOK} {
		borrower.want(want, "GET", "/whoami", "", "Pando-Tenant", tenant)
	}
	meter.want(http.StatusOK, "GET", "/whoami", "", "Pando-Tenant", "acme")
}

// TestPlantByCertificate: an imported authority's certificates prove a factory
// operator, if they are for client authentication and valid, until the trust ends.
func TestPlantByCertificate(t *testing.T) {
	_, st, meter, _ := trusting(t)
	plant := pandotest.NewRoot(t, "Plant CA", time.Now().Add(-time.Hour))
	below := plant.NewIssuing(t, "Plant Issuing CA", time.Now().Add(-time.Hour))
	strange := pandotest.NewRoot(t, "Plant CA", time.Now().Add(-time.Hour)) // of the same name
	by := func(ca *pandotest.CA, change func(*x509.Certificate)) caller {
		c := meter
		c.key = pandotest.Key(t, pki.P256)
		template := &x509.Certificate{SerialNumber: big.NewInt(0x1234), Subject: pkix.Name{CommonName: "line 3\n"},
			NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
		change(template)
		c.chain = append([][]byte{ca.Sign(t, template, c.key.Public())}, ca.Chain()...)
		return c
	}
	nothing := func(*x509.Certificate) {}
	meter.trust("acme", trust.NewAnchor{Name: "plant", Certificate: plant.Certificate.Raw, Role: access.FactoryOperator, Scopes: []access.Scope{{Endpoint: "meter"}}})
	line := by(below, nothing)
	who := new(client.Identity)
	if err := json.Unmarshal([]byte(line.want(http.StatusOK, "GET", "/whoami", "")), who); err != nil {
		t.Fatal(err)
	}
	if who.ID != "certificate:trust:plant/1234" || who.Name != "line 3?, issued by CN=Plant Issuing CA" || len(who.Grants) != 1 || who.Grants[0].Role != "factory-operator" {
		t.Errorf("%+v", who)
	}
	line.want(http.StatusCreated, "POST", "/enrollments", enrollment(t, client.Enrollment{Endpoint: "meter", CSR: csrOf(t, pandotest.Key(t, pki.P256), "SM-7")}))
	for what, c := range map[string]caller{
		"of a stranger with its name": by(strange, nothing),
		"for servers":                 by(below, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
		"that has ended":              by(below, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) }),
		"of a day to come":            by(below, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(30 * time.Minute) }),
		"of an authority itself":      {t: t, s: meter.s, roots: meter.roots, key: plant.Key, chain: plant.Chain()},
		"whose issuer is not one":     func() caller { c := by(below, nothing); c.chain = append(c.chain[:1:1], line.chain[0]); return c }(),
		"with more others than it may": func() caller {
			c := by(below, nothing)
			for len(c.chain) < 9 {
				c.chain = append(c.chain, plant.Certificate.Raw)
			}
			return c
		}(),
		"with a mere device's above it": by(&pandotest.CA{Certificate: pandotest.Parse(t, line.chain[0]), Key: line.key}, nothing),
	} {
		if status, text := c.ask("GET", "/whoami", ""); status != http.StatusUnauthorized {
			t.Errorf("a certificate %s: %d %s", what, status, text)
		}
	}

	// Another tenant trusts the same authority: the caller says whose they are.
	st.AddTenant(t, "other")
	meter.trust("other", trust.NewAnchor{Name: "plant", Certificate: plant.Certificate.Raw, Role: access.Auditor})
	line.want(http.StatusUnauthorized, "GET", "/whoami", "")
	line.want(http.StatusOK, "GET", "/whoami", "", "Pando-Tenant", "acme")
	line.want(http.StatusForbidden, "POST", "/enrollments", enrollment(t, client.Enrollment{Endpoint: "meter", CSR: csrOf(t, pandotest.Key(t, pki.P256), "SM-8")}), "Pando-Tenant", "other")

	g, err := access.Principal{Tenant: "acme", ID: "token:1", Grants: access.Given(access.TenantAdministrator)}.Authorize(access.ManageTrust, "acme")
	if err != nil {
		t.Fatal(err)
	}
	if err := meter.s.trust.Remove(t.Context(), g, "plant"); err != nil {
		t.Fatal(err)
	}
	line.want(http.StatusUnauthorized, "GET", "/whoami", "", "Pando-Tenant", "acme")
}

// TestAnchorsAreAuthorities: what is imported must be a CA's certificate that may
// sign certificates.
func TestAnchorsAreAuthorities(t *testing.T) {
	s, st, meter, _ := trusting(t)
	g := st.Permit(t, "acme", access.ManageTrust)
	root := pandotest.NewRoot(t, "Root", time.Now().Add(-time.Hour))
	key := pandotest.Key(t, pki.P256)
	sign := func(change func(*x509.Certificate)) []byte {
		c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign}
		change(c)
		return root.Sign(t, c, key.Public())
	}
	for what, der := range map[string][]byte{
		"a device's":                meter.chain[0],
		"CA:FALSE":                  sign(func(c *x509.Certificate) { c.IsCA = false }),
		"without constraints":       sign(func(c *x509.Certificate) { c.BasicConstraintsValid, c.IsCA = false, false }),
		"for signing CRLs":          sign(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }),
		"without a key usage":       sign(func(c *x509.Certificate) { c.KeyUsage = 0 }),
		"that has ended":            sign(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) }),
		"no certificate":            []byte("x"),
		"a certificate and more":    append(bytes.Clone(root.Certificate.Raw), 0),
		"longer than is reasonable": make([]byte, 17<<10),
	} {
		_, err := s.trust.Add(t.Context(), g, trust.NewAnchor{Name: "x", Certificate: der, Role: access.Auditor})
		if err == nil || pki.KindOf(err) != pki.Malformed {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, n := range map[string]trust.NewAnchor{
		"an administrator":              {Name: "x", Authority: "issuing", Role: access.TenantAdministrator},
		"devices anywhere":              {Name: "x", Authority: "issuing", Role: access.Device},
		"an endpoint that is not there": {Name: "x", Authority: "issuing", Role: access.Auditor, Scopes: []access.Scope{{Endpoint: "metre"}}},
		"both":                          {Name: "x", Authority: "issuing", Certificate: root.Certificate.Raw, Role: access.Auditor},
		"neither":                       {Name: "x", Role: access.Auditor},
		"no name":                       {Authority: "issuing", Role: access.Auditor},
	} {
		if _, err := s.trust.Add(t.Context(), g, n); err == nil || pki.KindOf(err) != pki.Malformed {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := s.trust.Add(t.Context(), st.Permit(t, "acme", access.ManageTokens), trust.NewAnchor{}); pki.KindOf(err) != pki.Forbidden {
		t.Errorf("without the permission: %v", err)
	}
}
