package ceremony

import (
	"bytes"
	"crypto"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/tbs"
)

var journalTime = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

// A witness is a root's key that signs a digest only where the last line of the
// journal, as it is on disk, is the intent to sign bytes of that digest.
type witness struct {
	crypto.Signer
	journal string
	signed  int
}

func (w *witness) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	f, err := os.Open(w.journal)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c, err := readChain(f)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(w.journal)
	if err != nil {
		return nil, err
	}
	lines := bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
	var last entry
	if err := json.Unmarshal(lines[len(lines)-1], &last); err != nil {
		return nil, err
	}
	h := opts.HashFunc().New()
	h.Write(last.TBS)
	if c.last.Step != stepIntent || !bytes.Equal(h.Sum(nil), digest) {
		return nil, errors.New("no intent for these bytes is in the journal")
	}
	w.signed++
	return w.Signer.Sign(random, digest, opts)
}

// testRoot makes a test root beside dir and opens it with a witness as its key.
func testRoot(t testing.TB) (r *root, w *witness, sealed string) {
	t.Helper()
	source, err := packs.Document("root")
	if err != nil {
		t.Fatal(err)
	}
	sealed = filepath.Join(t.TempDir(), "root.sealed")
	secret := pki.NewSecret("correct horse")
	_, err = NewRoot(t.Context(), RootConfig{Mode: pki.Test, CommonName: "R", Organization: "Acme", Profile: source, Passphrase: secret,
		WorkFactor: 1, Sealed: sealed, Now: func() time.Time { return journalTime }})
	if err != nil {
		t.Fatal(err)
	}
	if r, err = openRoot(sealed, passphrase(secret)); err != nil {
		t.Fatal(err)
	}
	w = &witness{Signer: r.key, journal: journalOf(sealed)}
	r.key = w
	return r, w, sealed
}

func TestIntentBeforeSignature(t *testing.T) {
	r, w, sealed := testRoot(t)
	j, err := r.openJournal(sealed)
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	req := &Request{Kind: KindCRL, RootIssuer: "r1", StatusURL: "http://127.0.0.1", Number: 5}
	resp, err := r.signCRL(t.Context(), j, req, journalTime)
	if err != nil {
		t.Fatal(err)
	}
	if w.signed != 1 {
		t.Errorf("the key was used %d times", w.signed)
	}
	want := entry{N: 4, At: journalTime, Mode: pki.Test, Act: KindCRL, Step: stepDone, Number: 5, Request: req.hash(), Result: sha256Hex(resp.CRL), Previous: j.last.Previous}
	if diff := cmp.Diff(want, j.last); diff != "" {
		t.Errorf("last line (-want +got):\n%s", diff)
	}

	if _, err := r.sign([]byte("not in the journal")); err == nil {
		t.Error("the witness signs what is not in the journal")
	}
}

// TestIntentBeforeRoot: the root's own certificate is in the journal before its
// new key is used.
func TestIntentBeforeRoot(t *testing.T) {
	sealed := filepath.Join(t.TempDir(), "root.sealed")
	key, err := keystore.NewPrivateKey(pki.P384)
	if err != nil {
		t.Fatal(err)
	}
	public, err := tbs.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	source, err := packs.Document("root")
	if err != nil {
		t.Fatal(err)
	}
	profile, err := policy.Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &RootConfig{Mode: pki.Test, CommonName: "R", Organization: "Acme", Sealed: sealed}
	message, err := rootCertificate(profile, public, cfg, journalTime)
	if err != nil {
		t.Fatal(err)
	}
	intent, err := certificateIntent(actRoot, pki.Test, message, journalTime)
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{Signer: key, journal: journalOf(sealed)}
	// A witness cannot be sealed, so that the making ends there.
	if _, err := (&root{mode: pki.Test, key: w}).make(intent, cfg); err == nil || !strings.Contains(err.Error(), "seal root") {
		t.Errorf("error %v, want one of sealing", err)
	}
	if w.signed != 1 {
		t.Errorf("the key was used %d times", w.signed)
	}
}

func TestJournalIsLocked(t *testing.T) {
	r, _, sealed := testRoot(t)
	j, err := r.openJournal(sealed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.openJournal(sealed); pki.KindOf(err) != pki.Conflict || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second act at once: error %v", err)
	}
	j.close()
	j, err = r.openJournal(sealed)
	if err != nil {
		t.Fatal(err)
	}
	j.close()
}

// TestIntentWithoutDone: an act that was cut short does not stop the root, but
// its CRL number is gone.
func TestIntentWithoutDone(t *testing.T) {
	r, _, sealed := testRoot(t)
	j, err := r.openJournal(sealed)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.append(entry{At: journalTime, Mode: pki.Test, Act: KindCRL, Step: stepIntent, Number: 3}); err != nil {
		t.Fatal(err)
	}
	j.close()
	if j, err = r.openJournal(sealed); err != nil {
		t.Fatal(err)
	}
	defer j.close()
	req := &Request{Kind: KindCRL, RootIssuer: "r1", StatusURL: "http://127.0.0.1", Number: 3}
	if _, err := r.signCRL(t.Context(), j, req, journalTime); pki.KindOf(err) != pki.Conflict {
		t.Errorf("number 3 again: error %v", err)
	}
	req.Number = 4
	if _, err := r.signCRL(t.Context(), j, req, journalTime); err != nil {
		t.Error(err)
	}
}

func TestChainRules(t *testing.T) {
	first := entry{At: journalTime, Mode: pki.Test, Act: actRoot, Step: stepIntent}
	tests := []struct {
		name string
		next entry
		say  string
	}{
		{"the root's end", entry{At: journalTime, Mode: pki.Test, Act: actRoot, Step: stepDone}, ""},
		{"another act", entry{At: journalTime, Mode: pki.Test, Act: KindCertificate, Step: stepIntent}, ""},
		{"older", entry{At: journalTime.Add(-1), Mode: pki.Test, Act: KindCertificate, Step: stepIntent}, "older"},
		{"another mode", entry{At: journalTime, Mode: pki.Production, Act: KindCertificate, Step: stepIntent}, "mode"},
		{"a second root", first, "root's making"},
		{"another act's end", entry{At: journalTime, Mode: pki.Test, Act: KindCRL, Step: stepDone}, "ends an act"},
		{"a wrong hash", entry{At: journalTime, Mode: pki.Test, Act: actRoot, Step: stepDone, Signed: []byte("x"), Result: sha256Hex(nil)}, "SHA-256"},
		{"another request's end", entry{At: journalTime, Mode: pki.Test, Act: actRoot, Step: stepDone, Request: "ab"}, "another request"},
		{"no step", entry{At: journalTime, Mode: pki.Test, Act: KindCRL}, "ends an act"},
		{"no act", entry{At: journalTime, Mode: pki.Test, Step: stepIntent}, "unknown"},
		{"CRL number 0", entry{At: journalTime, Mode: pki.Test, Act: KindCRL, Step: stepIntent}, "number"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := new(chain)
			if err := follow(t, c, first); err != nil {
				t.Fatal(err)
			}
			err := follow(t, c, tt.next)
			if tt.say == "" && err != nil || tt.say != "" && (err == nil || !strings.Contains(err.Error(), tt.say)) {
				t.Errorf("error %v, want %q", err, tt.say)
			}
		})
	}
}

// follow lets the chain go on with the line that e becomes.
func follow(t testing.TB, c *chain, e entry) error {
	t.Helper()
	line, err := c.line(e)
	if err != nil {
		t.Fatal(err)
	}
	return c.follow(bytes.TrimSuffix(line, []byte("\n")))
}

func FuzzJournal(f *testing.F) {
	c := new(chain)
	var whole []byte
	for _, e := range []entry{
		{At: journalTime, Mode: pki.Test, Act: actRoot, Step: stepIntent, Subject: "CN=R", Serial: "42", TBS: []byte{0x30, 0}},
		{At: journalTime, Mode: pki.Test, Act: actRoot, Step: stepDone, Result: sha256Hex(nil)},
		{At: journalTime, Mode: pki.Test, Act: KindCRL, Step: stepIntent, Number: 1, TBS: []byte{0x30, 0}},
	} {
		line, err := c.line(e)
		if err != nil {
			f.Fatal(err)
		}
		if err := c.follow(line[:len(line)-1]); err != nil {
			f.Fatal(err)
		}
		whole = append(whole, line...)
		f.Add(bytes.Clone(whole))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := readChain(bytes.NewReader(in))
		if err != nil {
			if pki.KindOf(err) != pki.Conflict {
				t.Errorf("error %v of kind %v", err, pki.KindOf(err))
			}
			return
		}
		// What is read can be gone on with.
		line, err := c.line(entry{At: c.last.At, Mode: c.last.Mode, Act: KindCertificate, Step: stepIntent})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readChain(bytes.NewReader(append(bytes.Clone(in), line...))); err != nil {
			t.Error(err)
		}
	})
}
