package tbs

import (
	"bytes"
	"crypto/x509"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// newCA returns a self-signed CA certificate and a certificate that it issued.
func newCA(t testing.TB, kind pki.KeyKind, parts ...ExtensionPart) (ca, device []byte) {
	t.Helper()
	signer := newSigner(t, kind)
	key := publicKey(t, signer)
	alg := key.SignatureAlgorithm()
	tmpl, err := NewTemplate(TemplateConfig{IssuerName: must(t)(issuerName.Append(nil)), Algorithm: alg, Parts: parts})
	if err != nil {
		t.Fatal(err)
	}
	c := deviceContent(t, key)
	c.Subject, c.KeyUsage, c.SAN = must(t)(issuerName.Append(nil)), KeyCertSign|CRLSign, nil
	tbs := must(t)(tmpl.Append(nil, c))
	ca = AppendSigned(nil, tbs, alg, must(t)(Sign(signer, alg, tbs)))
	tbs = must(t)(deviceTemplate(t, alg, key.KeyID()).Append(nil, deviceContent(t, publicKey(t, newSigner(t, pki.P256)))))
	return ca, AppendSigned(nil, tbs, alg, must(t)(Sign(signer, alg, tbs)))
}

// caParts are the extensions of a CA certificate.
func caParts() []ExtensionPart {
	return []ExtensionPart{
		{DER: BasicConstraints(true, 1)},
		{Slot: SlotSKI},
		{Slot: SlotKeyUsage, Critical: true},
	}
}

func TestParseCertificate(t *testing.T) {
	for _, kind := range allKinds {
		t.Run(string(kind), func(t *testing.T) {
			ca, device := newCA(t, kind, caParts()...)
			for _, cert := range [][]byte{ca, device} {
				got, err := ParseCertificate(cert)
				if err != nil {
					t.Fatal(err)
				}
				want, err := x509.ParseCertificate(cert)
				if err != nil {
					t.Fatal(err)
				}
				compareWithCertificate(t, got, want)
			}
		})
	}
}

// compareWithCertificate compares what both parsers have.
func compareWithCertificate(t testing.TB, got *Parsed, want *x509.Certificate) {
	t.Helper()
	other := &Parsed{
		Raw: want.Raw, TBS: want.RawTBSCertificate, Issuer: want.RawIssuer, Subject: want.RawSubject,
		NotBefore: want.NotBefore, NotAfter: want.NotAfter, Signature: want.Signature,
		Serial: got.Serial, Algorithm: got.Algorithm, Key: got.Key,
	}
	for _, e := range want.Extensions {
		other.Extensions = append(other.Extensions, Extension{OID: e.Id.String(), Critical: e.Critical, Value: e.Value})
	}
	same := cmp.Comparer(func(a, b PublicKey) bool { return bytes.Equal(a.SPKI(), b.SPKI()) })
	if diff := cmp.Diff(other, got, same); diff != "" {
		t.Errorf("certificate (-crypto/x509 +got):\n%s", diff)
	}
	if !bytes.Equal(got.Serial.Bytes(), want.SerialNumber.Bytes()) || !bytes.Equal(got.Key.SPKI(), want.RawSubjectPublicKeyInfo) {
		t.Error("another serial or key")
	}
	ca, pathLen := got.IsCA()
	if ca != want.IsCA || ca && pathLen != want.MaxPathLen && !(pathLen == 0 && want.MaxPathLenZero) {
		t.Errorf("CA %t, path length %d, want %t, %d", ca, pathLen, want.IsCA, want.MaxPathLen)
	}
	if got.KeyUsage() != KeyUsage(want.KeyUsage) {
		t.Errorf("key usage %b, want %b", got.KeyUsage(), want.KeyUsage)
	}
	if want.SubjectKeyId != nil && !bytes.Equal(got.SubjectKeyID(), want.SubjectKeyId) {
		t.Errorf("key id %x, want %x", got.SubjectKeyID(), want.SubjectKeyId)
	}
	if !bytes.Equal(got.authorityKeyID(), want.AuthorityKeyId) {
		t.Errorf("issuer's key id %x, want %x", got.authorityKeyID(), want.AuthorityKeyId)
	}
}

func TestParseCertificateTruncated(t *testing.T) {
	_, device := newCA(t, pki.P256, caParts()...)
	for n := range device {
		_, err := ParseCertificate(device[:n])
		wantKind(t, err, pki.Malformed)
	}
	_, err := ParseCertificate(append(bytes.Clone(device), 0))
	wantKind(t, err, pki.Malformed)
}

func TestParseCertificateTwoAlgorithms(t *testing.T) {
	_, device := newCA(t, pki.P256, caParts()...)
	p, err := ParseCertificate(device)
	if err != nil {
		t.Fatal(err)
	}
	_, err = ParseCertificate(AppendSigned(nil, p.TBS, ecdsaSHA384, p.Signature))
	wantKind(t, err, pki.Malformed)
}

// TestParseTBSRefuses changes one field of a good TBSCertificate at a time.
func TestParseTBSRefuses(t *testing.T) {
	key := publicKey(t, newSigner(t, pki.P256))
	name := must(t)(issuerName.Append(nil))
	serial := der.AppendUnsigned(nil, []byte{1})
	begin := der.AppendTime(nil, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	end := der.AppendTime(nil, time.Date(2056, 1, 1, 0, 0, 0, 0, time.UTC))
	noCheck := OCSPNoCheck()
	const (
		version = iota
		serialNumber
		algorithm
		issuer
		validity
		subject
		spki
		extensions
		after
	)
	build := func(field int, value []byte) []byte {
		fields := [][]byte{
			[]byte(version3), serial, key.SignatureAlgorithm().DER, name, seq(begin, end), name, key.SPKI(),
			node(der.Explicit(3), seq(noCheck)), nil,
		}
		fields[field] = value
		return seq(fields...)
	}
	if _, err := ParseTBS(build(after, nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := ParseTBS(build(extensions, nil)); err != nil {
		t.Fatal(err)
	}
	var many [][]byte
	for i := range maxExtensions + 1 {
		many = append(many, seq(must(t)(der.AppendOID(nil, "1.3.6.1.4.1.32473."+string('0'+rune(i/10))+"."+string('0'+rune(i%10)))), node(4)))
	}
	oid := der.MustOID("1.3.6.1")
	for what, tt := range map[string]struct {
		field int
		value []byte
	}{
		"version 1":               {version, nil},
		"version 2":               {version, node(der.Explicit(0), []byte{2, 1, 1})},
		"version 4":               {version, node(der.Explicit(0), []byte{2, 1, 3})},
		"version BER":             {version, []byte{0xa0, 4, 2, 2, 0, 2}},
		"serial zero":             {serialNumber, []byte{2, 1, 0}},
		"serial negative":         {serialNumber, []byte{2, 1, 0x80}},
		"serial not minimal":      {serialNumber, []byte{2, 2, 0, 1}},
		"serial empty":            {serialNumber, []byte{2, 0}},
		"serial of 21 octets":     {serialNumber, node(2, bytes.Repeat([]byte{1}, 21))},
		"serial of 20, with zero": {serialNumber, node(2, []byte{0}, bytes.Repeat([]byte{0xff}, 20))},
		"algorithm empty":         {algorithm, seq()},
		"algorithm two params":    {algorithm, seq(oid, []byte{5, 0, 5, 0})},
		"issuer empty":            {issuer, seq()},
		"issuer malformed":        {issuer, seq([]byte{5, 0})},
		"one time":                {validity, seq(begin)},
		"three times":             {validity, seq(begin, end, end)},
		"2049 as GeneralizedTime": {validity, seq(begin, node(asn1.GeneralizedTime, []byte("20490101000000Z")))},
		"time with offset":        {validity, seq(begin, node(asn1.UTCTime, []byte("260101000000+0100")))},
		"subject malformed":       {subject, seq(set())},
		"unique identifier":       {extensions, node(der.Implicit(1), []byte{0, 1})},
		"no extensions":           {extensions, node(der.Explicit(3), seq())},
		"extension twice":         {extensions, node(der.Explicit(3), seq(noCheck, noCheck))},
		"65 extensions":           {extensions, node(der.Explicit(3), seq(many...))},
		"extension FALSE":         {extensions, node(der.Explicit(3), seq(seq(oid, []byte{1, 1, 0, 4, 0})))},
		"extension BER TRUE":      {extensions, node(der.Explicit(3), seq(seq(oid, []byte{1, 1, 1, 4, 0})))},
		"extension no value":      {extensions, node(der.Explicit(3), seq(seq(oid)))},
		"extension fourth field":  {extensions, node(der.Explicit(3), seq(seq(oid, []byte{4, 0, 5, 0})))},
		"extensions trailing":     {extensions, node(der.Explicit(3), seq(noCheck), []byte{5, 0})},
		"field after":             {after, []byte{5, 0}},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := ParseTBS(build(tt.field, tt.value))
			wantKind(t, err, pki.Malformed)
		})
	}
	_, err := ParseTBS(build(spki, seq(seq(oid), []byte{3, 1, 0})))
	wantKind(t, err, pki.BadKey)
}

// TestParseTBSFor gives a certificate's own key, another one, and its own where the
// certificate has one that cannot be read.
func TestParseTBSFor(t *testing.T) {
	key, another := publicKey(t, newSigner(t, pki.P256)), publicKey(t, newSigner(t, pki.P256))
	tbs := must(t)(deviceTemplate(t, key.SignatureAlgorithm(), key.KeyID()).Append(nil, deviceContent(t, key)))
	got, err := ParseTBSFor(key, tbs)
	if err != nil || got.Key != key {
		t.Errorf("for its own key: %v, %v", got, err)
	}
	got, err = ParseTBSFor(another, tbs)
	if err != nil || !bytes.Equal(got.Key.SPKI(), key.SPKI()) {
		t.Errorf("for another key: %v, %v", got, err)
	}
	tbs[bytes.Index(tbs, key.SPKI())+len(key.SPKI())-1] ^= 1 // no point of the curve any more
	_, err = ParseTBSFor(key, tbs)
	wantKind(t, err, pki.BadKey)
}

// TestParseTBSValues checks the extensions whose values are read.
func TestParseTBSValues(t *testing.T) {
	key := publicKey(t, newSigner(t, pki.P256))
	parse := func(oid string, value []byte) error {
		tmpl, err := NewTemplate(TemplateConfig{
			IssuerName: must(t)(issuerName.Append(nil)), Algorithm: key.SignatureAlgorithm(),
			Parts: []ExtensionPart{{DER: must(t)(RawExtension(oid, false, value))}},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = ParseTBS(must(t)(tmpl.Append(nil, deviceContent(t, key))))
		return err
	}
	const bc, ku, ski, aki = der.OIDBasicConstraints, der.OIDKeyUsage, der.OIDSubjectKeyIdentifier, der.OIDAuthorityKeyIdentifier
	full := seq(node(der.Implicit(0), []byte{1}), node(der.Explicit(1), seq()), node(der.Implicit(2), []byte{1}))
	for name, tt := range map[string]struct {
		oid   string
		value []byte
	}{
		"no CA":                 {bc, seq()},
		"path length 0":         {bc, seq([]byte(asn1True), []byte{2, 1, 0})},
		"empty issuer key id":   {aki, seq()},
		"issuer key id of 3":    {aki, full},
		"an extension not read": {"1.3.6.1.4.1.32473.9", []byte("anything")},
	} {
		if err := parse(tt.oid, tt.value); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, tt := range map[string]struct {
		oid   string
		value []byte
	}{
		"CA explicit FALSE":     {bc, seq([]byte{1, 1, 0})},
		"path length alone":     {bc, seq([]byte{2, 1, 0})},
		"path length negative":  {bc, seq([]byte(asn1True), []byte{2, 1, 0xff})},
		"path length too large": {bc, seq([]byte(asn1True), node(2, bytes.Repeat([]byte{1}, 9)))},
		"CA third field":        {bc, seq([]byte(asn1True), []byte{2, 1, 0, 5, 0})},
		"CA trailing octet":     {bc, append(seq([]byte(asn1True)), 0)},
		"CA no value":           {bc, nil},
		"usage empty":           {ku, []byte{3, 1, 0}},
		"usage no bit":          {ku, []byte{3, 2, 7, 0}},
		"usage trailing zero":   {ku, []byte{3, 2, 6, 0x80}},
		"usage unused bits set": {ku, []byte{3, 2, 7, 0xc0}},
		"usage no bit string":   {ku, []byte{4, 2, 7, 0x80}},
		"usage trailing octet":  {ku, []byte{3, 2, 7, 0x80, 0}},
		"usage tenth bit":       {ku, []byte{3, 3, 6, 0x80, 0x40}},
		"usage three octets":    {ku, []byte{3, 4, 0, 1, 1, 1}},
		"key id empty":          {ski, []byte{4, 0}},
		"key id no octets":      {ski, []byte{5, 0}},
		"key id trailing octet": {ski, []byte{4, 1, 1, 0}},
		"issuer key id empty":   {aki, seq(node(der.Implicit(0)))},
		"issuer no sequence":    {aki, []byte{5, 0}},
		"issuer other field":    {aki, seq(node(der.Implicit(3), []byte{1}))},
		"issuer trailing octet": {aki, append(bytes.Clone(full), 0)},
	} {
		t.Run(name, func(t *testing.T) {
			wantKind(t, parse(tt.oid, tt.value), pki.Malformed)
		})
	}
}

func TestCheckSignedBy(t *testing.T) {
	parse := func(ca, device []byte) (*Parsed, *Parsed) {
		c, err := ParseCertificate(ca)
		if err != nil {
			t.Fatal(err)
		}
		d, err := ParseCertificate(device)
		if err != nil {
			t.Fatal(err)
		}
		return c, d
	}
	ca, device := parse(newCA(t, pki.P384, caParts()...))
	if err := device.CheckSignedBy(ca); err != nil {
		t.Error(err)
	}
	if err := ca.CheckSignedBy(ca); err != nil {
		t.Error(err)
	}
	ski := ExtensionPart{DER: must(t)(RawExtension(der.OIDSubjectKeyIdentifier, false, node(4, ca.SubjectKeyID())))}
	sameID, _ := parse(newCA(t, pki.P384, ExtensionPart{DER: BasicConstraints(true, -1)}, ski))
	otherKey, _ := parse(newCA(t, pki.P384, caParts()...))
	noCA, ofNoCA := parse(newCA(t, pki.P384, ExtensionPart{Slot: SlotSKI}))
	noUsage, ofNoUsage := parse(newCA(t, pki.P384, ExtensionPart{DER: BasicConstraints(true, -1)},
		ExtensionPart{DER: must(t)(RawExtension(der.OIDKeyUsage, true, DigitalSignature.append(nil)))}))
	broken := *device
	broken.Signature = bytes.Clone(device.Signature)
	broken.Signature[len(broken.Signature)-1] ^= 1
	unknown := *device
	unknown.Algorithm = seq(der.MustOID("1.2.840.113549.1.1.10"))
	for _, tt := range []struct {
		name         string
		cert, issuer *Parsed
		want         pki.Kind
	}{
		{"another name", ca, device, pki.Malformed},
		{"another key", device, otherKey, pki.Malformed},
		{"another key with the same identifier", device, sameID, pki.BadProof},
		{"no CA", ofNoCA, noCA, pki.Malformed},
		{"no keyCertSign", ofNoUsage, noUsage, pki.Malformed},
		{"broken signature", &broken, ca, pki.BadProof},
		{"unknown algorithm", &unknown, ca, pki.BadProof},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantKind(t, tt.cert.CheckSignedBy(tt.issuer), tt.want)
		})
	}
}

// TestNoExtensions checks what is said where an extension is not there.
func TestNoExtensions(t *testing.T) {
	p := &Parsed{Key: publicKey(t, newSigner(t, pki.P256))}
	ca, pathLen := p.IsCA()
	if ca || pathLen != -1 || p.KeyUsage() != 0 || p.authorityKeyID() != nil || !bytes.Equal(p.SubjectKeyID(), p.Key.KeyID()) {
		t.Errorf("%t, %d, %b, %x, %x", ca, pathLen, p.KeyUsage(), p.authorityKeyID(), p.SubjectKeyID())
	}
}
