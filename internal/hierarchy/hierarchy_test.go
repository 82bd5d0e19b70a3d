package hierarchy_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/ceremony"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/revocation"
)

func manage(t *testing.T, s *stack.Stack) access.Permit {
	t.Helper()
	return s.Permit(t, "acme", access.ManageAuthorities)
}

// The certificates of authorities that a ceremony signed can be revoked, and
// stand in the root's next CRL, which a ceremony signs too.
func TestRevokeAuthority(t *testing.T) {
	s := stack.New(t, stack.Config{})
	s.AddTenant(t, "acme")
	g := manage(t, s)
	issuing, err := s.Hierarchy.Authority(t.Context(), s.Permit(t, "acme", access.ReadConfiguration), "issuing")
	if err != nil {
		t.Fatal(err)
	}
	certificate := pandotest.Parse(t, issuing.Issuers[0].Certificate)
	serial, err := pki.SerialFromBytes(certificate.SerialNumber.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	root := issuing.Issuers[0].Parent
	if _, err := s.Revocation.Revoke(t.Context(), s.Permit(t, "acme", access.Revoke), root, serial, pki.CACompromise); err != nil {
		t.Fatal(err)
	}
	request, err := s.Hierarchy.CRLRequest(t.Context(), g, "root", "", 30)
	if err != nil {
		t.Fatal(err)
	}
	s.Sign(t, "acme", request)
	stored, err := s.Revocation.CRL(t.Context(), revocation.List{Issuer: root, Shard: 0})
	if err != nil {
		t.Fatal(err)
	}
	crl, err := x509.ParseRevocationList(stored.DER)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(crl.RevokedCertificateEntries); n != 1 || crl.RevokedCertificateEntries[0].SerialNumber.Cmp(certificate.SerialNumber) != 0 {
		t.Errorf("the root's CRL has %d entries", n)
	}
}

func TestInstallRefuses(t *testing.T) {
	s := stack.New(t, stack.Config{})
	s.AddTenant(t, "acme")
	s.AddTenant(t, "globex")
	g := manage(t, s)
	pending := func(name string) *ceremony.Request {
		_, err := s.Hierarchy.CreateAuthority(t.Context(), g, hierarchy.NewAuthority{
			Name: name, CommonName: "Test " + name, Kind: pki.Issuing, Parent: "root", StatusURL: stack.StatusURL})
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.Hierarchy.Request(t.Context(), g, name)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	one, two := pending("one"), pending("two")
	if _, err := s.Hierarchy.CRLRequest(t.Context(), g, "two", "", 30); pki.KindOf(err) != pki.NotReady {
		t.Errorf("a CRL of a pending authority: %v", err)
	}
	made := s.Sign(t, "acme", one)
	foreign, err := s.Hierarchy.Authority(t.Context(), s.Permit(t, "globex", access.ReadConfiguration), "issuing")
	if err != nil {
		t.Fatal(err)
	}
	answer := func(issuer pki.IssuerID, certificate []byte) *ceremony.Response {
		return &ceremony.Response{Kind: "certificate", Issuer: issuer, Certificate: certificate, ProfileVersion: 1}
	}
	for _, c := range []struct {
		name string
		r    *ceremony.Response
		want pki.Kind
	}{
		{"again", answer(one.Issuer, made.Issuers[0].Certificate), pki.Conflict},
		{"another authority's", answer(two.Issuer, made.Issuers[0].Certificate), pki.PolicyRefused},
		{"another root's", answer(two.Issuer, foreign.Issuers[0].Certificate), pki.PolicyRefused},
		{"garbage", answer(two.Issuer, []byte{1}), pki.Malformed},
		{"another tenant's issuer", answer(foreign.Issuers[0].ID, foreign.Issuers[0].Certificate), pki.NotFound},
		{"kind", &ceremony.Response{Kind: "key"}, pki.Malformed},
	} {
		if _, err := s.Hierarchy.Install(t.Context(), g, c.r); pki.KindOf(err) != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if v, _ := s.Hierarchy.Authority(t.Context(), s.Permit(t, "acme", access.ReadConfiguration), "two"); v.State != pki.AuthorityPending {
		t.Errorf("after refusals the authority is %s", v.State)
	}
}

func TestCreateAuthorityRefuses(t *testing.T) {
	s := stack.New(t, stack.Config{})
	s.AddTenant(t, "acme")
	g := manage(t, s)
	good := hierarchy.NewAuthority{Name: "two", CommonName: "Two", Kind: pki.Issuing, Parent: "root", StatusURL: stack.StatusURL}
	for _, c := range []struct {
		name   string
		change func(*hierarchy.NewAuthority)
		want   pki.Kind
	}{
		{"name", func(n *hierarchy.NewAuthority) { n.Name = "Two" }, pki.Malformed},
		{"taken", func(n *hierarchy.NewAuthority) { n.Name = "issuing" }, pki.Conflict},
		{"parent", func(n *hierarchy.NewAuthority) { n.Parent = "none" }, pki.NotFound},
		{"below an issuing authority", func(n *hierarchy.NewAuthority) { n.Parent = "issuing" }, pki.PolicyRefused},
		{"root", func(n *hierarchy.NewAuthority) { n.Kind = pki.Root }, pki.Malformed},
		{"key", func(n *hierarchy.NewAuthority) { n.KeyKind = pki.RSA2048 }, pki.BadKey},
		{"profile of devices", func(n *hierarchy.NewAuthority) { n.Profile = "meter" }, pki.PolicyRefused},
		{"https status", func(n *hierarchy.NewAuthority) { n.StatusURL = "https://example.com" }, pki.Malformed},
		{"status with a slash", func(n *hierarchy.NewAuthority) { n.StatusURL += "/" }, pki.Malformed},
		{"shards", func(n *hierarchy.NewAuthority) { n.Shards = hierarchy.MaxShards + 1 }, pki.Malformed},
		{"no name", func(n *hierarchy.NewAuthority) { n.CommonName = "" }, pki.Malformed},
	} {
		n := good
		c.change(&n)
		if _, err := s.Hierarchy.CreateAuthority(t.Context(), g, n); pki.KindOf(err) != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := s.Hierarchy.CreateAuthority(t.Context(), s.Permit(t, "acme", access.Enroll), good); pki.KindOf(err) != pki.Forbidden {
		t.Errorf("with another permission: %v", err)
	}
}

// A production authority's status is not on loopback.
func TestLoopbackIsForTests(t *testing.T) {
	s := stack.New(t, stack.Config{})
	s.AddTenant(t, "acme")
	for _, base := range []string{"http://127.0.0.1:80", "http://localhost", "http://[::1]:80"} {
		_, err := s.Hierarchy.ImportRoot(t.Context(), manage(t, s), hierarchy.NewRoot{Name: "real", Mode: pki.Production, StatusURL: base})
		if pki.KindOf(err) != pki.PolicyRefused {
			t.Errorf("%s: %v", base, err)
		}
	}
}

// intermediateCA is a profile for authorities with authorities below them.
const intermediateCA = `profile: intermediate-ca
description: An online authority below the root.
keys: {allow: [p256]}
validity: 20y
subject:
  - {type: CN, from: authority.commonName}
  - {type: O, from: tenant.organization}
basicConstraints: {ca: true, pathLength: 0}
keyUsage: {use: [keyCertSign, cRLSign]}
keyIdentifiers: [subject, authority]
status: {crl: true, caIssuers: true}
`

// An authority below an online one is active at once. The reference root allows
// one more certificate below it, so that here the intermediate has none: it is
// refused, and nothing is left of it.
func TestSubordinateBeyondPathLength(t *testing.T) {
	s := stack.New(t, stack.Config{})
	s.AddTenant(t, "acme")
	g := manage(t, s)
	if _, err := s.Hierarchy.PublishProfile(t.Context(), s.Permit(t, "acme", access.ManageProfiles), []byte(intermediateCA)); err != nil {
		t.Fatal(err)
	}
	_, err := s.Hierarchy.CreateAuthority(t.Context(), g, hierarchy.NewAuthority{
		Name: "middle", CommonName: "Middle", Kind: pki.Intermediate, Parent: "root", Profile: "intermediate-ca", StatusURL: stack.StatusURL})
	if err != nil {
		t.Fatal(err)
	}
	request, err := s.Hierarchy.Request(t.Context(), g, "middle")
	if err != nil {
		t.Fatal(err)
	}
	s.Sign(t, "acme", request)
	_, err = s.Hierarchy.CreateAuthority(t.Context(), g, hierarchy.NewAuthority{
		Name: "below", CommonName: "Below", Kind: pki.Issuing, Parent: "middle", StatusURL: stack.StatusURL})
	if pki.KindOf(err) != pki.PolicyRefused {
		t.Fatalf("below a path length of 0: %v", err)
	}
	if _, err := s.Hierarchy.Authority(t.Context(), s.Permit(t, "acme", access.ReadConfiguration), "below"); pki.KindOf(err) != pki.NotFound {
		t.Errorf("what was refused is there: %v", err)
	}
}

// deepRoot imports a root under which there is room for two authorities in a row,
// and returns what signs with it.
func deepRoot(t *testing.T, s *stack.Stack, g access.Permit) func(*ceremony.Request) {
	t.Helper()
	profile, err := packs.Document("root")
	if err != nil {
		t.Fatal(err)
	}
	sealed, passphrase := filepath.Join(t.TempDir(), "deep.sealed"), pki.NewSecret("only for tests")
	der, err := ceremony.NewRoot(t.Context(), ceremony.RootConfig{
		Mode: pki.Test, CommonName: "Deep Root", Organization: "Example", Profile: bytes.Replace(profile, []byte("pathLength: 1"), []byte("pathLength: 2"), 1),
		Passphrase: passphrase, WorkFactor: 1, Sealed: sealed, Now: s.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hierarchy.ImportRoot(t.Context(), g, hierarchy.NewRoot{Name: "deep", Mode: pki.Test, StatusURL: stack.StatusURL, Certificate: der}); err != nil {
		t.Fatal(err)
	}
	return func(request *ceremony.Request) {
		t.Helper()
		answer, err := ceremony.Sign(t.Context(), ceremony.SignConfig{Sealed: sealed, Passphrase: passphrase, Request: request, Now: s.Now})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Hierarchy.Install(t.Context(), g, answer); err != nil {
			t.Fatal(err)
		}
	}
}

// addMiddle adds the intermediate authority "middle", below a root of its own.
func addMiddle(t *testing.T, s *stack.Stack, g access.Permit) *hierarchy.View {
	t.Helper()
	if _, err := s.Hierarchy.PublishProfile(t.Context(), s.Permit(t, "acme", access.ManageProfiles),
		[]byte(strings.Replace(intermediateCA, "pathLength: 0", "pathLength: 1", 1))); err != nil {
		t.Fatal(err)
	}
	sign := deepRoot(t, s, g)
	middle, err := s.Hierarchy.CreateAuthority(t.Context(), g, hierarchy.NewAuthority{
		Name: "middle", CommonName: "Middle", Kind: pki.Intermediate, Parent: "deep", Profile: "intermediate-ca", StatusURL: stack.StatusURL})
	if err != nil {
		t.Fatal(err)
	}
	request, err := s.Hierarchy.Request(t.Context(), g, "middle")
	if err != nil {
		t.Fatal(err)
	}
	sign(request)
	return middle
}

// TestSubordinate: an authority below an online one is active at once, and of
// many that ask for one name at once only one gets a certificate.
func TestSubordinate(t *testing.T) {
	s := stack.New(t, stack.Config{})
	s.AddTenant(t, "acme")
	g := manage(t, s)
	middle := addMiddle(t, s, g)

	const askers = 8
	made := make(chan error, askers)
	for range askers {
		go func() {
			v, err := s.Hierarchy.CreateAuthority(t.Context(), g, hierarchy.NewAuthority{
				Name: "below", CommonName: "Below", Kind: pki.Issuing, Parent: "middle", StatusURL: stack.StatusURL})
			if err == nil && v.State != pki.AuthorityActive {
				err = fmt.Errorf("it is %s", v.State)
			}
			made <- err
		}()
	}
	count := 0
	for range askers {
		switch err := <-made; {
		case err == nil:
			count++
		case pki.KindOf(err) != pki.Conflict:
			t.Error(err)
		}
	}
	issued, err := s.Registry.Certificates(t.Context(), s.Permit(t, "acme", access.ReadCertificates),
		registry.Query{Issuer: middle.Issuers[0].ID}, registry.Paging{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	if count != 1 || len(issued.Items) != 1 {
		t.Errorf("%d authorities of one name were made, with %d certificates", count, len(issued.Items))
	}
}

// A pending authority that was retired takes no certificate, and is not retired
// twice.
func TestRetirePending(t *testing.T) {
	s := stack.New(t, stack.Config{})
	s.AddTenant(t, "acme")
	g := manage(t, s)
	v, err := s.Hierarchy.CreateAuthority(t.Context(), g, hierarchy.NewAuthority{
		Name: "two", CommonName: "Two", Kind: pki.Issuing, Parent: "root", StatusURL: stack.StatusURL})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Hierarchy.Retire(t.Context(), g, "two"); err != nil {
		t.Fatal(err)
	}
	_, err = s.Hierarchy.Install(t.Context(), g, &ceremony.Response{Kind: ceremony.KindCertificate, Issuer: v.Issuers[0].ID, Certificate: []byte{1}, ProfileVersion: 1})
	if pki.KindOf(err) != pki.Conflict {
		t.Errorf("a certificate for it: %v", err)
	}
	if err := s.Hierarchy.Retire(t.Context(), g, "two"); pki.KindOf(err) != pki.Conflict {
		t.Errorf("retired again: %v", err)
	}
}

// A retired authority issues nothing, and its status goes on.
func TestRetire(t *testing.T) {
	s := stack.New(t, stack.Config{})
	s.AddTenant(t, "acme", "meter")
	r := enroll.Request{
		Grant: s.Permit(t, "acme", access.Enroll), Endpoint: "meter", Protocol: pki.ProtocolREST,
		Subject: enroll.Subject{CSR: pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: "SM-1"})},
	}
	got, err := s.Enroll.Enroll(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Hierarchy.Retire(t.Context(), manage(t, s), "issuing"); err != nil {
		t.Fatal(err)
	}
	r.CSR = pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: "SM-2"})
	if _, err := s.Enroll.Enroll(t.Context(), r); pki.KindOf(err) != pki.NotReady {
		t.Errorf("from a retired authority: %v", err)
	}
	if _, err := s.Revocation.Revoke(t.Context(), s.Permit(t, "acme", access.Revoke), got.Certificate.Issuer, got.Certificate.Serial, pki.Superseded); err != nil {
		t.Errorf("revoke: %v", err)
	}
	if _, err := s.Revocation.PublishDue(t.Context()); err != nil {
		t.Errorf("its CRLs: %v", err)
	}
	if _, err := s.Hierarchy.IssuerLine(t.Context(), "acme", got.Certificate.Issuer); err != nil {
		t.Errorf("its responder's line: %v", err)
	}
}

// An authority may have serials that tell nothing, not even when they were made;
// others begin with their class and the time.
func TestRandomSerials(t *testing.T) {
	s := stack.New(t, stack.Config{})
	s.AddTenant(t, "acme", "meter")
	_, err := s.Hierarchy.CreateAuthority(t.Context(), manage(t, s), hierarchy.NewAuthority{
		Name: "quiet", CommonName: "Quiet", Kind: pki.Issuing, Parent: "root", StatusURL: stack.StatusURL, RandomSerials: true})
	if err != nil {
		t.Fatal(err)
	}
	request, err := s.Hierarchy.Request(t.Context(), manage(t, s), "quiet")
	if err != nil {
		t.Fatal(err)
	}
	s.Sign(t, "acme", request)
	_, err = s.Enroll.CreateEndpoint(t.Context(), s.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{Name: "quiet", Authority: "quiet", Profile: "meter"})
	if err != nil {
		t.Fatal(err)
	}
	for endpoint, want := range map[string]pki.SerialClass{"meter": pki.SerialLong, "quiet": pki.SerialRandom} {
		got, err := s.Enroll.Enroll(t.Context(), enroll.Request{
			Grant: s.Permit(t, "acme", access.Enroll), Endpoint: endpoint, Protocol: pki.ProtocolREST,
			Subject: enroll.Subject{CSR: pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: "SM-" + endpoint})},
		})
		if err != nil {
			t.Fatal(err)
		}
		if class := pki.SerialClass(got.Certificate.Serial[0]); class != want {
			t.Errorf("%s: serial %s of class %#x, not %#x", endpoint, got.Certificate.Serial, class, want)
		}
	}
}

// TestDeltas: deltas are to one full CRL, and stay with the issuer.
func TestDeltas(t *testing.T) {
	s := stack.New(t, stack.Config{})
	s.AddTenant(t, "acme", "meter")
	n := hierarchy.NewAuthority{Name: "changing", CommonName: "Changing", Kind: pki.Issuing, Parent: "root", StatusURL: stack.StatusURL, Deltas: true, Shards: 2}
	if _, err := s.Hierarchy.CreateAuthority(t.Context(), manage(t, s), n); pki.KindOf(err) != pki.Malformed {
		t.Errorf("two shards with deltas: %v", err)
	}
	n.Shards = 1
	v, err := s.Hierarchy.CreateAuthority(t.Context(), manage(t, s), n)
	if err != nil {
		t.Fatal(err)
	}
	if v, err = s.Hierarchy.Authority(t.Context(), s.Permit(t, "acme", access.ReadConfiguration), v.Name); err != nil || !v.Deltas || !v.Issuers[0].Deltas {
		t.Errorf("%+v, %v", v, err)
	}
}
