package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/trust"
)

// A logbook is a log that can be read while it is written.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logbook) read() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.text.Bytes())
}

// secretsOf returns the numbers that are secret of a private key.
func secretsOf(t *testing.T, pkcs8 []byte) [][]byte {
	t.Helper()
	key, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		t.Fatal(err)
	}
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		scalar, err := key.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		return [][]byte{scalar}
	case ed25519.PrivateKey:
		return [][]byte{key.Seed()}
	case *rsa.PrivateKey:
		return [][]byte{key.D.Bytes(), key.Primes[0].Bytes(), key.Primes[1].Bytes()}
	}
	t.Fatalf("a key of type %T", key)
	return nil
}

// spelled returns how octets may stand in a text or a file: as they are, in hex, in base64
// wherever in a longer text they are, and as a list of numbers. Long ones are told by
// their first part.
func spelled(b []byte) (all [][]byte) {
	b = b[:min(len(b), 24)]
	text := hex.EncodeToString(b)
	list := fmt.Sprint(b)
	all = append(all, b, []byte(text), []byte(strings.ToUpper(text)), []byte(list[1:len(list)-1]))
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 { // octets that share its first characters
			aligned := encoding.EncodeToString(append(make([]byte, before), b...))
			all = append(all, []byte(aligned[(before*8+5)/6:len(aligned)-2])) // and others its last
		}
	}
	return all
}

// standsIn reports whether octets stand in a content, in whatever form.
func standsIn(content, secret []byte) bool {
	joined := bytes.ReplaceAll(bytes.ReplaceAll(content, []byte("\r"), nil), []byte("\n"), nil) // PEM breaks lines
	return slices.ContainsFunc(spelled(secret), func(form []byte) bool { return bytes.Contains(content, form) || bytes.Contains(joined, form) })
}

// TestServerKeysAreNowhere: of keys that the server makes for devices, handed out in plain
// or encrypted for their device, and of one that waits in the pool, nothing stands in the
// data directory, while the server runs and after it, nor in its log of the most detail, in
// what operators see of an endpoint and of a certificate, or in the metrics. What waited is
// overwritten at the end.
func TestServerKeysAreNowhere(t *testing.T) {
	cfg := newConfig(t)
	log := new(logbook)
	s, err := newServer(t.Context(), cfg, "test", slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), machine{now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	stop := run(t, s)
	st := furnish(t, s, "acme", "device")
	takesEST(t, s, st, "acme", "device")
	_, password, err := s.secrets.Create(t.Context(), st.Permit(t, "acme", access.ManageSecrets), enrolauth.NewSecret{Endpoint: "device", Device: "gw-1", Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	basic := []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("gw-1:"+password.Reveal()))}
	nobody := caller{t: t, s: s, roots: bootstrapOf(t, s)}
	nobody.trust("acme", trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "device"}}})
	device := nobody // by a certificate that keys can be encrypted for
	device.key = pandotest.Key(t, pki.RSA2048)
	own := certificates(t, nobody.est("POST", estPath("acme.device", "simpleenroll"), []byte(base64.StdEncoding.EncodeToString(pandotest.CSR(t, device.key, pkix.Name{CommonName: "gw-1"}))), basic...))[0]
	device.chain = [][]byte{own.Raw}

	identifier := func(oid string, id []byte) []pandotest.Attribute {
		return []pandotest.Attribute{{OID: oid, Value: der.Append(nil, asn1.OCTET_STRING, id)}}
	}
	var secrets [][]byte
	var public [][]byte
	auditor := by(t, s, st, access.Auditor)
	seen := new(bytes.Buffer) // what people may look at
	for _, kind := range []pki.KeyKind{pki.P256, pki.P384, pki.Ed25519, pki.RSA2048} {
		for what, c := range map[string]struct {
			by         caller
			headers    []string
			attributes []pandotest.Attribute
			open       []cms.Key
		}{
			"plain":           {nobody, basic, nil, nil},
			"under a secret":  {nobody, basic, identifier(der.OIDDecryptKeyIdentifier, []byte("gw-1")), []cms.Key{{Password: password}}},
			"for another key": {device, nil, identifier(der.OIDAsymmetricDecryptKeyIdentifier, own.SubjectKeyId), []cms.Key{{Certificate: own.Raw, Decrypter: device.key.(*rsa.PrivateKey)}}},
		} {
			csr := pandotest.CSRWith(t, pandotest.Key(t, kind), pkix.Name{CommonName: "gw-1"}, c.attributes...)
			answer := c.by.est("POST", estPath("acme.device", "serverkeygen"), []byte(base64.StdEncoding.EncodeToString(csr)), c.headers...)
			if answer.StatusCode != 200 {
				text, _ := io.ReadAll(answer.Body) // of a buffer
				t.Fatalf("%s, %s: %s %s", kind, what, answer.Status, text)
			}
			key, certificate := keyAndCertificate(t, answer)
			if c.open != nil {
				opened, err := cms.Open(key, cms.OpenOptions{}, c.open...)
				if err != nil {
					t.Fatalf("%s, %s: %v", kind, what, err)
				}
				key = opened.Content
			}
			secrets = append(secrets, secretsOf(t, key)...)
			spki := certificate.RawSubjectPublicKeyInfo
			public = append(public, spki[len(spki)-29:len(spki)-5]) // all RSA keys end with the same exponent
			serial, err := pki.SerialFromBytes(certificate.SerialNumber.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			trace, err := auditor.TraceCertificate(t.Context(), "", serial.String())
			if err != nil {
				t.Fatal(err)
			}
			if err := json.NewEncoder(seen).Encode(trace); err != nil {
				t.Fatal(err)
			}
		}
	}
	// One is ready in the pool when the server stops.
	waits, err := s.keyPool.Take(context.Background(), "acme", pki.RSA2048)
	if err != nil {
		t.Fatal(err)
	}
	inPool := waits.Private().Reveal()
	for _, secret := range secretsOf(t, inPool) { // what stands somewhere is found
		inPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: inPool})
		if !standsIn(inPEM, secret) || !standsIn(fmt.Appendf(nil, "%X", inPool), secret) || !standsIn(fmt.Appendf(nil, "%v", inPool), secret) || standsIn(nil, secret) {
			t.Fatal("a private key is not found where it stands")
		}
		secrets = append(secrets, secret)
	}
	s.keyPool.Return(waits)

	for v := range s.visits.Watch(t.Context(), "acme.device", false) {
		fmt.Fprintf(seen, "%+v\n", v)
	}
	_, metrics := fetch(t, s.URL("ops")+"/metrics")
	seen.WriteString(metrics)
	secretIn := func(where string, content []byte) {
		t.Helper()
		if slices.ContainsFunc(secrets, func(secret []byte) bool { return standsIn(content, secret) }) {
			t.Errorf("a private key stands in %s", where)
		}
	}
	search := func(when string) (found int) {
		t.Helper()
		err := filepath.WalkDir(cfg.Data, func(path string, d fs.DirEntry, err error) error {
			var content []byte
			if err == nil && d.Type().IsRegular() {
				content, err = os.ReadFile(path)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // one that was there for a moment is not anywhere
				return err
			}
			secretIn(path+", "+when, content)
			for _, p := range public {
				// The store parts what is long at the ends of its pages: one half is whole.
				if bytes.Contains(content, p[:len(p)/2]) || bytes.Contains(content, p[len(p)/2:]) {
					found++
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	// What is looked for in this way is found where it stands: the public keys do. While the
	// files are read one by one the store may move them from the one to the other.
	for begun := time.Now(); ; {
		found := search("while the server runs")
		if found >= len(public) {
			break
		}
		if time.Since(begun) > time.Minute {
			t.Fatalf("%d of %d public keys were found", found, len(public))
		}
	}
	secretIn("what people see", seen.Bytes())
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	search("after the server")
	secretIn("the log", log.read())
	if !bytes.Contains(log.read(), []byte("serverkeygen")) {
		t.Error("the log has no line of requests for keys")
	}
	if len(bytes.Trim(inPool, "\x00")) > 0 {
		t.Error("the key that waited in the pool is still in memory")
	}
}
