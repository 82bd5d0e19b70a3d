package tbs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

func TestGeneralNames(t *testing.T) {
	directory := node(der.Explicit(4), seq(set(seq(der.MustOID(der.OIDCommonName), node(asn1.UTF8String, []byte("x"))))))
	upn := node(der.Explicit(0), der.MustOID("1.3.6.1.4.1.311.20.2.3"), node(der.Explicit(0), node(asn1.UTF8String, []byte("x@y"))))
	names := []GeneralName{
		{Kind: DNSName, Text: "meter-1.example.com"},
		{Kind: DNSName, Text: "*.example.com"},
		{Kind: IPAddress, Text: "192.0.2.1"},
		{Kind: IPAddress, Text: "2001:db8::1"},
		{Kind: IPAddress, Text: "::ffff:192.0.2.1"},
		{Kind: URI, Text: "urn:dev:mac:0024befffe804ff1"},
		{Kind: URI, Text: "https://[2001:db8::1]:8443/a?b#c"},
		{Kind: URI, Text: "spiffe://example.org/meter/1"},
		{Kind: Email, Text: "ops@example.com"},
		{Kind: HardwareModuleName, HWType: "1.3.6.1.4.1.32473.1.1", HWSerial: []byte{0, 1, 2}},
		{Kind: OtherGeneralName, DER: directory},
		{Kind: OtherGeneralName, DER: upn},
		{Kind: OtherGeneralName, DER: node(der.Implicit(8), []byte{0x55, 4, 3})},
	}
	encoded := must(t)(AppendGeneralNames([]byte("before"), names))[len("before"):]
	got, err := ParseGeneralNames(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(names, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestMadeNames holds the names that are made whole against what is read.
func TestMadeNames(t *testing.T) {
	directory := must(t)(Name{{OID: der.OIDCommonName, Value: "x"}}.Append(nil))
	id, err := RegisteredID("2.5.4.3")
	if err != nil {
		t.Fatal(err)
	}
	upn, err := OtherName("1.3.6.1.4.1.311.20.2.3", node(asn1.UTF8String, []byte("x@y")))
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseGeneralNames(must(t)(AppendGeneralNames(nil, []GeneralName{DirectoryName(directory), id, upn})))
	if diff := cmp.Diff([]GeneralName{
		{Kind: OtherGeneralName, DER: node(der.Explicit(4), directory)},
		{Kind: OtherGeneralName, DER: node(der.Implicit(8), []byte{0x55, 4, 3})},
		{Kind: OtherGeneralName, DER: node(der.Explicit(0), der.MustOID("1.3.6.1.4.1.311.20.2.3"), node(der.Explicit(0), node(asn1.UTF8String, []byte("x@y"))))},
	}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := RegisteredID("x"); err == nil {
		t.Error("registeredID x")
	}
	if _, err := OtherName("x", nil); err == nil {
		t.Error("otherName x")
	}
}

func TestAppendGeneralNamesRefuses(t *testing.T) {
	for name, n := range map[string]GeneralName{
		"empty DNS":           {Kind: DNSName},
		"DNS with space":      {Kind: DNSName, Text: "a b"},
		"DNS with underscore": {Kind: DNSName, Text: "a_b.example"},
		"DNS trailing dot":    {Kind: DNSName, Text: "example.com."},
		"DNS empty label":     {Kind: DNSName, Text: "a..b"},
		"DNS leading hyphen":  {Kind: DNSName, Text: "-a.example"},
		"DNS inner wildcard":  {Kind: DNSName, Text: "a.*.example"},
		"DNS bare wildcard":   {Kind: DNSName, Text: "*."},
		"DNS long label":      {Kind: DNSName, Text: strings.Repeat("a", 64) + ".example"},
		"DNS too long":        {Kind: DNSName, Text: strings.Repeat("a.", 127) + "a"},
		"DNS not ASCII":       {Kind: DNSName, Text: "zähler.example"},
		"DNS with NUL":        {Kind: DNSName, Text: "a.example\x00.b.example"},
		"IP text":             {Kind: IPAddress, Text: "192.0.2.256"},
		"IP zone":             {Kind: IPAddress, Text: "fe80::1%eth0"},
		"IP prefix":           {Kind: IPAddress, Text: "192.0.2.0/24"},
		"URI relative":        {Kind: URI, Text: "/meter/1"},
		"URI with space":      {Kind: URI, Text: "urn:a b"},
		"URI bad host":        {Kind: URI, Text: "https://a_b/"},
		"URI not parsed":      {Kind: URI, Text: "https://example.com:x/"},
		"email no @":          {Kind: Email, Text: "ops.example.com"},
		"email no local":      {Kind: Email, Text: "@example.com"},
		"email bad domain":    {Kind: Email, Text: "a@b@example.com"},
		"hardware no type":    {Kind: HardwareModuleName, HWSerial: []byte{1}},
		"hardware no serial":  {Kind: HardwareModuleName, HWType: "1.3.6.1"},
		"other empty":         {Kind: OtherGeneralName},
		"other trailing":      {Kind: OtherGeneralName, DER: append(node(der.Implicit(8), []byte{0x55}), 0)},
		"other is DNS":        {Kind: OtherGeneralName, DER: node(der.Implicit(2), []byte("a.example"))},
		"no kind":             {Kind: 99, Text: "x"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := AppendGeneralNames(nil, []GeneralName{n})
			wantKind(t, err, pki.PolicyRefused)
		})
	}
	for _, count := range []int{0, maxGeneralNames + 1} {
		names := make([]GeneralName, count)
		for i := range names {
			names[i] = GeneralName{Kind: DNSName, Text: "a.example"}
		}
		_, err := AppendGeneralNames(nil, names)
		wantKind(t, err, pki.PolicyRefused)
	}
}

func TestParseGeneralNamesRefuses(t *testing.T) {
	dns := node(der.Implicit(2), []byte("a.example"))
	hardware := func(value ...[]byte) []byte {
		return seq(node(der.Explicit(0), der.MustOID(der.OIDHardwareModuleName), node(der.Explicit(0), value...)))
	}
	hwType, hwSerial := der.MustOID("1.3.6.1"), node(asn1.OCTET_STRING, []byte{1})
	var many [][]byte
	for range maxGeneralNames + 1 {
		many = append(many, dns)
	}
	for name, encoded := range map[string][]byte{
		"nothing":               {},
		"no names":              seq(),
		"trailing octet":        append(seq(dns), 0),
		"truncated name":        seq(dns[:5]),
		"too many":              seq(many...),
		"empty DNS":             seq(node(der.Implicit(2))),
		"DNS with NUL":          seq(node(der.Implicit(2), []byte("a\x00b"))),
		"DNS not ASCII":         seq(node(der.Implicit(2), []byte("\xc3\xa4"))),
		"constructed DNS":       seq(node(der.Explicit(2), node(asn1.IA5String, []byte("a")))),
		"IP of 5 octets":        seq(node(der.Implicit(7), []byte{1, 2, 3, 4, 5})),
		"IP with mask":          seq(node(der.Implicit(7), make([]byte, 8))),
		"universal tag":         seq(node(asn1.IA5String, []byte("a"))),
		"tag 9":                 seq(node(der.Implicit(9), []byte("a"))),
		"primitive otherName":   seq(node(der.Implicit(0), []byte("a"))),
		"otherName no type":     seq(node(der.Explicit(0), node(der.Explicit(0), dns))),
		"otherName no value":    seq(node(der.Explicit(0), der.MustOID("1.3.6.1"))),
		"otherName empty value": seq(node(der.Explicit(0), der.MustOID("1.3.6.1"), node(der.Explicit(0)))),
		"otherName two values":  seq(node(der.Explicit(0), der.MustOID("1.3.6.1"), node(der.Explicit(0), dns, dns))),
		"otherName third field": seq(node(der.Explicit(0), der.MustOID("1.3.6.1"), node(der.Explicit(0), dns), dns)),
		"hardware no sequence":  hardware(hwType, hwSerial),
		"hardware no serial":    hardware(seq(hwType)),
		"hardware third field":  hardware(seq(hwType, hwSerial, hwSerial)),
		"hardware two values":   hardware(seq(hwType, hwSerial), hwSerial),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseGeneralNames(encoded)
			wantKind(t, err, pki.Malformed)
		})
	}
}
