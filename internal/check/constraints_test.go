package check

import (
	"crypto"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// A party is an authority of a chain that a test makes.
type party struct {
	name []byte
	key  crypto.Signer
}

func newParty(t *testing.T, kind pki.KeyKind, name string) party {
	t.Helper()
	subject, err := tbs.Name{{OID: der.OIDOrganization, Value: "Acme"}, {OID: der.OIDCommonName, Value: name}}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return party{subject, pandotest.Key(t, kind)}
}

// issue has a party certify another, which may be itself.
func (p party) issue(t *testing.T, of party, serial byte, names []tbs.GeneralName, more ...[]byte) *issuer {
	t.Helper()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	own, err := tbs.NewPublicKey(p.key.Public())
	ok(err)
	key, err := tbs.NewPublicKey(of.key.Public())
	ok(err)
	parts := []tbs.ExtensionPart{{DER: tbs.BasicConstraints(true, -1)}, {Slot: tbs.SlotSKI}, {Slot: tbs.SlotKeyUsage, Critical: true}, {Slot: tbs.SlotSAN}}
	for _, one := range more {
		parts = append(parts, tbs.ExtensionPart{DER: one})
	}
	template, err := tbs.NewTemplate(tbs.TemplateConfig{IssuerName: p.name, Algorithm: own.SignatureAlgorithm(), Parts: parts})
	ok(err)
	begin := time.Now().UTC().Truncate(time.Second)
	c := &tbs.Content{Serial: pki.Serial{19: serial}, NotBefore: begin, NotAfter: begin.AddDate(1, 0, 0), Subject: of.name, Key: key, KeyUsage: tbs.KeyCertSign | tbs.CRLSign}
	if names != nil {
		c.SAN, err = tbs.AppendGeneralNames(nil, names)
		ok(err)
	}
	text, err := template.Append(nil, c)
	ok(err)
	signature, err := tbs.Sign(p.key, own.SignatureAlgorithm(), text)
	ok(err)
	i := &issuer{Issuer: &pki.Issuer{ID: pki.IssuerID(serial), Tenant: "acme", NotBefore: begin, NotAfter: begin.AddDate(1, 0, 0), Certificate: tbs.AppendSigned(nil, text, own.SignatureAlgorithm(), signature)}}
	ok(i.parse())
	return i
}

// TestConstraintsAbovePostQuantum: the name constraints of a root that signs by ML-DSA hold for
// what is below the issuer that it certified, which crypto/x509 takes for a root.
func TestConstraintsAbovePostQuantum(t *testing.T) {
	within, err := tbs.NameConstraints([]tbs.Subtree{{Kind: tbs.DNSName, Base: "example.com"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	dns := func(text string) []tbs.GeneralName { return []tbs.GeneralName{{Kind: tbs.DNSName, Text: text}} }
	root, middle, last := newParty(t, pki.MLDSA44, "root"), newParty(t, pki.P256, "middle"), newParty(t, pki.P256, "last")
	for name, c := range map[string]struct {
		above    [][]byte // extensions of the root
		names    []tbs.GeneralName
		findings string
	}{
		"no names":               {[][]byte{within}, nil, ""},
		"a name within":          {[][]byte{within}, dns("ca.example.com"), ""},
		"a name outside":         {[][]byte{within}, dns("ca.example.org"), "outside of the name constraints"},
		"no constraints":         {nil, dns("ca.example.org"), ""},
		"a name of another form": {[][]byte{within}, []tbs.GeneralName{{Kind: tbs.Email, Text: "a@example.org"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, m, l := root.issue(t, root, 1, nil, c.above...), root.issue(t, middle, 2, nil), middle.issue(t, last, 3, c.names)
			r.Parent, m.Parent, l.Parent = r.ID, r.ID, m.ID
			ch := &checker{issuers: map[pki.IssuerID]*issuer{r.ID: r, m.ID: m, l.ID: l}}
			for _, sound := range []*issuer{r, m} {
				if err := ch.checkChain(sound); err != nil {
					t.Errorf("%s: %v", sound.subject(), err)
				}
			}
			err := ch.checkChain(l)
			if (err != nil) != (c.findings != "") || err != nil && !strings.Contains(err.Error(), c.findings) {
				t.Errorf("%v, want %q", err, c.findings)
			}
		})
	}
}
