package policy

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// encoded returns a reference profile bound, a content with its serial and its
// encoding.
func encoded(t testing.TB, profile string) (*Bound, *tbs.Content, []byte) {
	t.Helper()
	b := bind(t, reference(t, profile), newIssuer(t, profile).IssuerParams)
	c, err := b.Content(inputFor(t, profile, generate(t, b.profile.KeyKinds()[0])))
	if err != nil {
		t.Fatal(err)
	}
	c.Serial = testSerial()
	der, err := b.Append(nil, c)
	if err != nil {
		t.Fatal(err)
	}
	return b, c, der
}

func TestLint(t *testing.T) {
	for _, profile := range packs.Story() {
		b, c, der := encoded(t, profile)
		if err := b.Lint(der, c); err != nil {
			t.Errorf("%s: %v", profile, err)
		}
	}
}

// TestLintContent encodes one content and lints against another.
func TestLintContent(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*tbs.Content)
		want   string
	}{
		"serial":     {func(c *tbs.Content) { c.Serial[19] = 0 }, "4.1.2.2"},
		"not before": {func(c *tbs.Content) { c.NotBefore = c.NotBefore.Add(time.Second) }, "4.1.2.5"},
		"not after":  {func(c *tbs.Content) { c.NotAfter = c.NotAfter.Add(-time.Second) }, "4.1.2.5"},
		"fraction":   {func(c *tbs.Content) { c.NotBefore = c.NotBefore.Add(time.Millisecond) }, "4.1.2.5"},
		"subject":    {func(c *tbs.Content) { c.Subject = []byte(emptyName) }, "4.1.2.6"},
		"key":        {func(c *tbs.Content) { c.Key = publicKey(t, generate(t, pki.P256).Public()) }, "4.1.2.7"},
		"names":      {func(c *tbs.Content) { c.SAN = append([]byte{}, c.SAN[:len(c.SAN)-1]...) }, "4.2.1.6"},
		"no names":   {func(c *tbs.Content) { c.SAN = nil }, "2.5.29.14 is missing or not in its place"},
		"usage":      {func(c *tbs.Content) { c.KeyUsage = tbs.DigitalSignature }, "4.2.1.3"},
	} {
		t.Run(name, func(t *testing.T) {
			b, c, der := encoded(t, "meter")
			other := *c
			row.change(&other)
			wantFinding(t, b.Lint(der, &other), row.want)
		})
	}
}

// TestLintBytes changes the encoding.
func TestLintBytes(t *testing.T) {
	for name, row := range map[string]struct{ old, new, want string }{
		"version 1":         {"\xa0\x03\x02\x01\x02", "\xa0\x03\x02\x01\x00", "4.1"},
		"negative serial":   {"\x02\x14\x42\x01", "\x02\x14\x82\x01", "4.1"},
		"another issuer":    {"Manufacturing 1", "Manufacturing 2", "4.1.2.4"},
		"another algorithm": {"\x2a\x86\x48\xce\x3d\x04\x03\x02", "\x2a\x86\x48\xce\x3d\x04\x03\x03", "4.1.2.3"},
		"CA":                {"\x55\x1d\x13\x01\x01\xff\x04\x02\x30\x00", "\x55\x1d\x13\x01\x01\xff\x04\x02\x01\xff", "4.1"},
		"policy":            {"\x2b\x06\x01\x04\x01\x81\xfd\x59\x02\x03", "\x2b\x06\x01\x04\x01\x81\xfd\x59\x02\x04", "4.2.1.4"},
		"purpose":           {"\x2b\x06\x01\x05\x05\x07\x03\x02", "\x2b\x06\x01\x05\x05\x07\x03\x01", "4.2.1.12"},
		"shard":             {"0issuer/3.crl", "0issuer/2.crl", "4.2.1.13"},
		"status":            {"/ocsp/0issuer", "/ocsp/1issuer", "4.2.2.1"},
		"extension":         {"\x55\x1d\x1f\x04", "\x55\x1d\x2e\x04", "4.2.1.13"},
		"cut":               {"\x55\x1d\x1f\x04", "\x55\x1d\x1f", "4.1"},
	} {
		t.Run(name, func(t *testing.T) {
			b, c, der := encoded(t, "meter")
			if bytes.Count(der, []byte(row.old)) != 1 {
				t.Fatalf("%q is there %d times", row.old, bytes.Count(der, []byte(row.old)))
			}
			wantFinding(t, b.Lint(bytes.Replace(der, []byte(row.old), []byte(row.new), 1), c), row.want)
		})
	}
}

// TestLintKeyBytes changes each octet of the key: where it is not the content's, its
// reading is not the content's either.
func TestLintKeyBytes(t *testing.T) {
	b, c, der := encoded(t, "meter")
	spki := c.Key.SPKI()
	at := bytes.Index(der, spki)
	for i := range spki {
		changed := bytes.Clone(der)
		changed[at+i] ^= 1
		if b.Lint(changed, c) == nil {
			t.Errorf("octet %d of the key is changed, and nothing is found", i)
		}
	}
}

// TestLintProfile encodes by one profile and lints by another.
func TestLintProfile(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*Bound)
		want   string
	}{
		"issuer expired":   {func(b *Bound) { b.issuer.NotAfter = now }, "within the issuer's"},
		"issuer too young": {func(b *Bound) { b.issuer.NotBefore = now.AddDate(0, 0, 1) }, "within the issuer's"},
		"one less":         {func(b *Bound) { b.wants = b.wants[:len(b.wants)-1] }, "not one that the profile names"},
		"one more":         {func(b *Bound) { b.wants = append(b.wants, want{oid: "1.2.3"}) }, "1.2.3 is missing"},
		"critical":         {func(b *Bound) { b.wants[2].critical = true }, "critical is false"},
		"CA":               {func(b *Bound) { p := *b.profile; p.ca = true; b.profile = &p }, "CA is false"},
		"another key id":   {func(b *Bound) { b.wants[6].value = append([]byte{}, b.wants[5].value...) }, "4.2.1.1)"},
	} {
		t.Run(name, func(t *testing.T) {
			b, c, der := encoded(t, "meter")
			row.change(b)
			wantFinding(t, b.Lint(der, c), row.want)
		})
	}
}

// TestLintUsage forces what Parse would not have let pass.
func TestLintUsage(t *testing.T) {
	relint := func(profile string, change func(*Bound, *tbs.Content)) error {
		b, c, _ := encoded(t, profile)
		change(b, c)
		der, err := b.Append(nil, c)
		if err != nil {
			t.Fatal(err)
		}
		return b.Lint(der, c)
	}
	wantFinding(t, relint("meter", func(_ *Bound, c *tbs.Content) { c.KeyUsage |= tbs.KeyEncipherment }), "cannot serve")
	wantFinding(t, relint("meter", func(_ *Bound, c *tbs.Content) { c.KeyUsage |= tbs.KeyCertSign }), "do not agree")
	wantFinding(t, relint("issuing-ca", func(_ *Bound, c *tbs.Content) { c.KeyUsage = tbs.CRLSign }), "do not agree")
	wantFinding(t, relint("issuing-ca", func(b *Bound, _ *tbs.Content) { b.issuer.PathLen = 0 }), "path length")
	wantFinding(t, relint("device", func(_ *Bound, c *tbs.Content) { c.Subject, c.SAN = []byte(emptyName), nil }), "neither a subject")
}

// wantFinding wants an error that says what and shows nothing outside.
func wantFinding(t *testing.T, err error, what string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), what) || pki.KindOf(err) != pki.Internal {
		t.Errorf("got %v; want an internal error about %s", err, what)
	}
}

func BenchmarkContent(b *testing.B) {
	for _, profile := range []string{"meter", "device", "tls-server"} {
		bound := bind(b, reference(b, profile), newIssuer(b, profile).IssuerParams)
		in := inputFor(b, profile, generate(b, pki.P256))
		b.Run(profile, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bound.Content(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	bound, c, der := encoded(b, "meter")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bound.Append(der[:0], c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLint(b *testing.B) {
	for _, profile := range []string{"meter", "tls-server"} {
		bound, c, der := encoded(b, profile)
		b.Run(profile, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := bound.Lint(der, c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
