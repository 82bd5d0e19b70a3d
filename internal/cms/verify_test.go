package cms

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// A forger makes SignedData that Sign does not make. What a field of it does not say
// is as Sign has it, with SHA-256 and rsaEncryption.
type forger struct {
	party       testParty
	contentType string
	content     []byte
	digest      crypto.Hash
	attributes  []Attribute // nil: none are signed; with OID "": of the content as it is
	algorithm   []byte      // DER
	options     crypto.SignerOpts
}

func (f forger) message(t testing.TB) []byte {
	t.Helper()
	if f.contentType == "" {
		f.contentType = der.OIDData
	}
	if f.digest == 0 {
		f.digest = crypto.SHA256
	}
	if f.algorithm == nil {
		f.algorithm = rsaEncryption
	}
	if f.options == nil {
		f.options = f.digest
	}
	hash := func(b []byte) []byte {
		h := f.digest.New()
		h.Write(b)
		return h.Sum(nil)
	}
	signed := f.content
	var set []byte
	if f.attributes != nil {
		for _, a := range f.attributes {
			if a.OID == "" {
				set = append(set, f.attribute(Attribute{der.OIDContentType, der.MustOID(f.contentType)})...)
				set = append(set, f.attribute(Attribute{der.OIDMessageDigest, der.Append(nil, asn1.OCTET_STRING, hash(f.content))})...)
				continue
			}
			set = append(set, f.attribute(a)...)
		}
		signed = der.Append(nil, asn1.SET, set)
	}
	if f.options.HashFunc() != 0 {
		signed = hash(signed)
	}
	signature, err := f.party.signer().Sign(rand.Reader, signed, f.options)
	if err != nil {
		t.Fatal(err)
	}
	p, ok := readParty(f.party.certificate)
	if !ok {
		t.Fatal("the certificate is not read")
	}
	info := der.AppendInteger(nil, 1)
	info = p.appendIssuerAndSerial(info)
	info = append(info, digestAlgorithm(f.digest)...)
	if f.attributes != nil {
		info = der.Append(info, der.Explicit(0), set)
	}
	info = append(info, f.algorithm...)
	info = der.Append(info, asn1.OCTET_STRING, signature)
	head := der.AppendInteger(nil, 1)
	head = der.Append(head, asn1.SET, digestAlgorithm(f.digest))
	tail := der.Append(nil, der.Explicit(0), f.party.certificate)
	tail = der.Append(tail, asn1.SET, der.Append(nil, asn1.SEQUENCE, info))
	message, err := assemble(&Message{ContentType: f.contentType, Content: f.content}, head, tail)
	if err != nil {
		t.Fatal(err)
	}
	return message
}

func (forger) attribute(a Attribute) []byte {
	b := der.Append(der.MustOID(a.OID), asn1.SET, a.Value)
	return der.Append(nil, asn1.SEQUENCE, b)
}

func identifier(parts ...string) []byte {
	b := der.MustOID(parts[0])
	for _, p := range parts[1:] {
		b = append(b, p...)
	}
	return der.Append(nil, asn1.SEQUENCE, b)
}

// usual are the attributes that Sign writes.
var usual = []Attribute{{}}

// TestVerify has what others make and Sign does not.
func TestVerify(t *testing.T) {
	p, ec, ed := newParty(t, pki.RSA2048), newParty(t, pki.P256), newParty(t, pki.Ed25519)
	pss := &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: 17}
	value := Attribute{oidTransactionID, []byte{5, 0}}
	for name, f := range map[string]forger{
		"without attributes":          {party: p, content: []byte("content")},
		"Ed25519 without attributes":  {party: ed, content: []byte("content"), algorithm: identifier(der.OIDEd25519), options: crypto.Hash(0)},
		"algorithm with its hash":     {party: p, content: []byte("content"), attributes: usual, algorithm: identifier(der.OIDRSASHA256, asn1Null)},
		"without the NULL":            {party: p, content: []byte("content"), attributes: usual, algorithm: identifier(der.OIDRSASHA256)},
		"ECDSA of a longer hash":      {party: ec, digest: crypto.SHA512, attributes: usual, algorithm: identifier(der.OIDECDSASHA512)},
		"PSS with a salt of 17":       {party: p, attributes: usual, algorithm: identifier(der.OIDRSAPSS, pssOf(crypto.SHA256, crypto.SHA256, 17)), options: pss},
		"attributes not in order":     {party: p, content: []byte("content"), attributes: []Attribute{value, {}}},
		"an attribute of two values":  {party: p, content: []byte("content"), attributes: []Attribute{{}, {oidTransactionID, []byte{5, 0, 5, 0}}}},
		"an attribute that is thrice": {party: p, content: []byte("content"), attributes: []Attribute{value, value, {}, value}},
	} {
		d := parseSigned(t, f.message(t))
		if _, err := d.Verify(0, VerifyOptions{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if v := d.Signers[0].Attributes.Get(oidTransactionID); name != "attributes not in order" && v != nil {
			t.Errorf("%s: %x", name, v)
		}
	}
}

// TestVerifyLegacy has what only Legacy takes.
func TestVerifyLegacy(t *testing.T) {
	p, ec := newParty(t, pki.RSA2048), newParty(t, pki.P256)
	pss := &rsa.PSSOptions{Hash: crypto.SHA1, SaltLength: sha1.Size}
	for name, f := range map[string]forger{
		"RSA":        {party: p, digest: crypto.SHA1, attributes: usual},
		"named":      {party: p, digest: crypto.SHA1, attributes: usual, algorithm: identifier(der.OIDRSASHA1, asn1Null)},
		"ECDSA":      {party: ec, digest: crypto.SHA1, attributes: usual, algorithm: identifier(der.OIDECDSASHA1)},
		"PSS":        {party: p, digest: crypto.SHA1, attributes: usual, algorithm: identifier(der.OIDRSAPSS, "\x30\x00"), options: pss},
		"no content": {party: p, digest: crypto.SHA1},
	} {
		d := parseSigned(t, f.message(t))
		if _, err := d.Verify(0, VerifyOptions{Legacy: true}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_, err := d.Verify(0, VerifyOptions{})
		wantKind(t, err, pki.BadKey)
	}
}

func TestVerifyRefuses(t *testing.T) {
	p, other, ec, ed := newParty(t, pki.RSA2048), newParty(t, pki.RSA2048), newParty(t, pki.P256), newParty(t, pki.Ed25519)
	content := []byte("content")
	sum := sha256.Sum256(content)
	digest := Attribute{der.OIDMessageDigest, der.Append(nil, asn1.OCTET_STRING, sum[:])}
	data := Attribute{der.OIDContentType, der.MustOID(der.OIDData)}
	attributes := forger{}.attribute(data)
	attributes = der.Append(nil, asn1.SET, append(attributes, forger{}.attribute(digest)...))
	for name, c := range map[string]struct {
		kind pki.Kind
		f    forger
	}{
		"no digest":                     {pki.BadProof, forger{party: p, content: content, attributes: []Attribute{data}}},
		"digest twice":                  {pki.BadProof, forger{party: p, content: content, attributes: []Attribute{data, digest, digest}}},
		"no content type":               {pki.BadProof, forger{party: p, content: content, attributes: []Attribute{digest}}},
		"another content type":          {pki.BadProof, forger{party: p, content: content, attributes: []Attribute{{der.OIDContentType, der.MustOID(der.OIDSignedData)}, digest}}},
		"digest of another content":     {pki.BadProof, forger{party: p, content: []byte("contents"), attributes: []Attribute{data, digest}}},
		"digest of no octets":           {pki.BadProof, forger{party: p, content: content, attributes: []Attribute{data, {der.OIDMessageDigest, []byte{4, 0}}}}},
		"no attributes, another type":   {pki.Malformed, forger{party: p, contentType: der.OIDSignedData, content: content}},
		"attributes become the content": {pki.Malformed, forger{party: p, content: attributes}},
		"hash of the algorithm":         {pki.BadKey, forger{party: p, attributes: usual, algorithm: identifier(der.OIDRSASHA384, asn1Null)}},
		"algorithm of another key":      {pki.BadKey, forger{party: p, attributes: usual, algorithm: identifier(der.OIDECDSASHA256)}},
		"unknown algorithm":             {pki.BadKey, forger{party: p, attributes: usual, algorithm: identifier("1.2.3.4")}},
		"parameters":                    {pki.BadKey, forger{party: p, attributes: usual, algorithm: identifier(der.OIDRSA, "\x30\x00")}},
		"ECDSA as RSA":                  {pki.BadKey, forger{party: ec, attributes: usual, algorithm: rsaEncryption}},
		"ECDSA of another hash":         {pki.BadKey, forger{party: ec, attributes: usual, algorithm: identifier(der.OIDECDSASHA384)}},
		"Ed25519 with SHA-256":          {pki.BadKey, forger{party: ed, attributes: usual, algorithm: identifier(der.OIDEd25519), options: crypto.Hash(0)}},
		"Ed25519 with NULL":             {pki.BadKey, forger{party: ed, attributes: usual, digest: crypto.SHA512, algorithm: identifier(der.OIDEd25519, asn1Null), options: crypto.Hash(0)}},
		"Ed25519 of a hash":             {pki.BadProof, forger{party: ed, attributes: usual, digest: crypto.SHA512, algorithm: identifier(der.OIDEd25519), options: &ed25519.Options{Hash: crypto.SHA512}}},
		"PSS without parameters":        {pki.BadKey, forger{party: p, attributes: usual, algorithm: identifier(der.OIDRSAPSS)}},
		"PSS of another hash":           {pki.BadKey, forger{party: p, attributes: usual, algorithm: identifier(der.OIDRSAPSS, pssOf(crypto.SHA384, crypto.SHA256, 32))}},
		"PSS of another mask":           {pki.BadKey, forger{party: p, attributes: usual, algorithm: identifier(der.OIDRSAPSS, pssOf(crypto.SHA256, crypto.SHA384, 32))}},
		"PSS with an endless salt":      {pki.BadKey, forger{party: p, attributes: usual, algorithm: identifier(der.OIDRSAPSS, pssOf(crypto.SHA256, crypto.SHA256, 1<<40))}},
		"PKCS #1 v1.5 as PSS":           {pki.BadProof, forger{party: p, attributes: usual, algorithm: identifier(der.OIDRSAPSS, pssOf(crypto.SHA256, crypto.SHA256, 32))}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseSigned(t, c.f.message(t)).Verify(0, VerifyOptions{})
			wantKind(t, err, c.kind)
		})
	}
	t.Run("certificates", func(t *testing.T) {
		message := sign(t, Message{}, Signer{Key: p.signer(), Certificate: p.certificate})
		_, err := parseSigned(t, message).Verify(0, VerifyOptions{}) // carries none
		wantKind(t, err, pki.BadProof)
		_, err = parseSigned(t, message).Verify(0, VerifyOptions{Certificate: other.certificate})
		wantKind(t, err, pki.BadProof)
		_, err = parseSigned(t, message).Verify(0, VerifyOptions{Certificate: []byte{0x30, 0}})
		wantKind(t, err, pki.BadProof)
	})
	t.Run("two certificates of one name", func(t *testing.T) {
		one, two := withoutKeyID(t, ec), withoutKeyID(t, newParty(t, pki.P256))
		signer := Signer{Key: ec.signer(), Certificate: one}
		_, err := parseSigned(t, sign(t, Message{Certificates: [][]byte{one, two}}, signer)).Verify(0, VerifyOptions{})
		wantKind(t, err, pki.BadProof)
		if _, err := parseSigned(t, sign(t, Message{Certificates: [][]byte{one, one}}, signer)).Verify(0, VerifyOptions{}); err != nil {
			t.Error(err)
		}
	})
	t.Run("each octet", func(t *testing.T) { everyOctetCounts(t, ec) })
}

// everyOctetCounts changes each octet of a message: it is refused, or what it says is
// what it said before.
func everyOctetCounts(t *testing.T, p testParty) {
	message := sign(t, Message{Content: []byte("content"), Certificates: [][]byte{p.certificate}},
		Signer{Key: p.signer(), Certificate: p.certificate, Attributes: []Attribute{transactionID}})
	for i := range message {
		for _, flip := range []byte{1, 0x20, 0x80} {
			changed := bytes.Clone(message)
			changed[i] ^= flip
			d, err := ParseSigned(changed)
			if err != nil || len(d.Signers) == 0 {
				continue
			}
			if _, err := d.Verify(0, VerifyOptions{Certificate: p.certificate}); err != nil {
				continue
			}
			if string(d.Content) != "content" || d.ContentType != der.OIDData || !bytes.Equal(d.Signers[0].Attributes.Get(oidTransactionID), transactionID.Value) {
				t.Errorf("octet %d: %+v", i, d)
			}
		}
	}
}

// pssOf returns RSASSA-PSS-params.
func pssOf(hash, mask crypto.Hash, salt uint64) string {
	mgf := append(der.MustOID(der.OIDMGF1), digestAlgorithm(mask)...)
	b := der.Append(nil, der.Explicit(0), digestAlgorithm(hash))
	b = der.Append(b, der.Explicit(1), der.Append(nil, asn1.SEQUENCE, mgf))
	b = der.Append(b, der.Explicit(2), der.AppendInteger(nil, salt))
	return string(der.Append(nil, asn1.SEQUENCE, b))
}

// TestParseSignedRefuses has structures that are not those of SignedData, and counts.
func TestParseSignedRefuses(t *testing.T) {
	p := newParty(t, pki.P256)
	signer := Signer{Key: p.signer(), Certificate: p.certificate}
	message := sign(t, Message{Content: []byte("content"), Certificates: [][]byte{p.certificate}}, signer)
	sequences := func(n int) (all [][]byte) {
		for range n {
			all = append(all, []byte{0x30, 0})
		}
		return all
	}
	var many Signer = signer
	for i := range maxAttributes - 1 { // contentType and messageDigest are two more
		many.Attributes = append(many.Attributes, Attribute{der.OIDSHA1 + "." + string(rune('0'+i/10)) + string(rune('0'+i%10)), []byte{5, 0}})
		if i < 10 {
			many.Attributes[i].OID = der.OIDSHA1 + "." + string(rune('0'+i))
		}
	}
	signers := make([]Signer, maxSigners+1)
	for i := range signers {
		signers[i] = signer
	}
	outer, _ := der.ReadOnly(message, asn1.SEQUENCE)
	var oid, explicit cryptobyte.String
	outer.ReadASN1Element(&oid, asn1.OBJECT_IDENTIFIER)
	outer.ReadASN1(&explicit, der.Explicit(0))
	for name, m := range map[string][]byte{
		"empty":                 {},
		"no ContentInfo":        {0x30, 0},
		"another type":          newContentInfo(der.OIDEnvelopedData, nil),
		"no fields":             newContentInfo(der.OIDSignedData, nil),
		"trailing octets":       append(bytes.Clone(message), 0),
		"cut":                   message[:len(message)-1],
		"trailing field":        newContentInfo(der.OIDSignedData, explicit[4:], []byte{5, 0}),
		"too many certificates": sign(t, Message{Certificates: sequences(maxCertificates + 1)}),
		"too many CRLs":         sign(t, Message{CRLs: sequences(maxCRLs + 1)}),
		"too many signers":      sign(t, Message{}, signers...),
		"too many attributes":   sign(t, Message{}, many),
	} {
		_, err := ParseSigned(m)
		if err == nil {
			t.Error(name)
		}
		wantKind(t, err, pki.Malformed)
	}
	for name, m := range map[string][]byte{
		"certificates": sign(t, Message{Certificates: sequences(maxCertificates)}),
		"CRLs":         sign(t, Message{CRLs: sequences(maxCRLs)}),
		"signers":      sign(t, Message{}, signers[1:]...),
	} {
		if _, err := ParseSigned(m); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParseSigned checks that what is read is within bounds, and is verified or
// refused with a kind that a message may cause.
func FuzzParseSigned(f *testing.F) {
	for _, kind := range signingKinds {
		p := newParty(f, kind)
		message := sign(f, Message{Content: []byte("content"), Certificates: [][]byte{p.certificate}},
			Signer{Key: p.signer(), Certificate: p.certificate, Attributes: []Attribute{transactionID}})
		f.Add(message)
		f.Add(toBER(message))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		d, err := ParseSigned(message)
		if err != nil {
			wantKind(t, err, pki.Malformed)
			return
		}
		if len(d.Certificates) > maxCertificates || len(d.CRLs) > maxCRLs || len(d.Signers) > maxSigners {
			t.Fatalf("%d certificates, %d CRLs, %d signers", len(d.Certificates), len(d.CRLs), len(d.Signers))
		}
		for i := range d.Signers {
			_, err := d.Verify(i, VerifyOptions{Legacy: true})
			if k := pki.KindOf(err); err != nil && k != pki.Malformed && k != pki.BadKey && k != pki.BadProof {
				t.Fatal(err)
			}
		}
	})
}
