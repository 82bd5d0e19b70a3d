package tbs

import (
	"bytes"
	"testing"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

func TestAttribute(t *testing.T) {
	octets := node(asn1.OCTET_STRING, []byte("key"))
	named := func(values ...[]byte) []byte {
		return seq(der.MustOID(der.OIDDecryptKeyIdentifier), set(values...))
	}
	for name, c := range map[string]struct {
		attributes [][]byte
		want       []byte
		malformed  bool
	}{
		"none":       {[][]byte{extensionRequest(sanExtension(t, 1))}, nil, false},
		"one":        {[][]byte{extensionRequest(sanExtension(t, 1)), named(octets)}, octets, false},
		"twice":      {[][]byte{named(octets), named(octets)}, octets, true},
		"two values": {[][]byte{named(octets, octets)}, nil, true},
		"no value":   {[][]byte{named()}, nil, true},
	} {
		csr, err := ParseCSR(newRequest(t, c.attributes...).sign(t))
		if err != nil {
			t.Fatal(err)
		}
		got, err := csr.Attribute(der.OIDDecryptKeyIdentifier)
		if !bytes.Equal(got, c.want) || c.malformed != (pki.KindOf(err) == pki.Malformed) || !c.malformed && err != nil {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
}

// TestRekeyed: the request for another key has the subject, the names and the attributes
// of the first, but those that are left out.
func TestRekeyed(t *testing.T) {
	left := seq(der.MustOID(der.OIDDecryptKeyIdentifier), set(node(asn1.OCTET_STRING, []byte("key"))))
	stays := seq(der.MustOID("1.2.3"), set(node(asn1.UTF8String, []byte("stays"))))
	asked, err := ParseCSR(newRequest(t, left, extensionRequest(sanExtension(t, 2)), stays).sign(t))
	if err != nil {
		t.Fatal(err)
	}
	other, err := ParseCSR(newRequest(t).sign(t))
	if err != nil {
		t.Fatal(err)
	}
	info := asked.AppendRekeyed([]byte("before"), other.Key, der.OIDDecryptKeyIdentifier)
	if !bytes.HasPrefix(info, []byte("before")) {
		t.Fatal("what was there before is gone")
	}
	got, err := ParseCSR(AppendSigned(nil, info[len("before"):], other.Key.SignatureAlgorithm(), []byte("signature")))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Key.SPKI(), other.Key.SPKI()) || !bytes.Equal(got.SubjectDER, asked.SubjectDER) || len(got.Names) != 2 ||
		len(got.Unread) != 1 || got.Unread[0] != "1.2.3" {
		t.Errorf("it asks for %v, %v, with %v", got.Subject, got.Names, got.Unread)
	}
}
