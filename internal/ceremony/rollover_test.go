package ceremony_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/ceremony"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

const newPassphrase = "another horse"

// keyed returns the profile of roots for one kind of key.
func keyed(t testing.TB, kind pki.KeyKind) string {
	t.Helper()
	return strings.Replace(string(source(t, "root")), "[p384]", "["+string(kind)+"]", 1)
}

// rootOf makes a root with a kind of key, five years before the tests' time.
func rootOf(t testing.TB, kind pki.KeyKind) (sealed string, certificate []byte) {
	t.Helper()
	sealed = filepath.Join(t.TempDir(), "old.sealed")
	cfg := rootConfig(t, sealed)
	cfg.Profile, cfg.Now = []byte(keyed(t, kind)), clockAt(testTime.AddDate(-5, 0, 0))
	certificate, err := ceremony.NewRoot(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return sealed, certificate
}

func rolloverConfig(t testing.TB, sealed string, old []byte, kind pki.KeyKind) ceremony.RolloverConfig {
	sum := sha256.Sum256(old)
	return ceremony.RolloverConfig{
		Sealed: sealed, Passphrase: pki.NewSecret(testPassphrase),
		New: filepath.Join(filepath.Dir(sealed), "new.sealed"), NewPassphrase: pki.NewSecret(newPassphrase), WorkFactor: 1,
		Request: &ceremony.Request{
			Kind: ceremony.KindRoot, Mode: pki.Test, Made: testTime, Root: hex.EncodeToString(sum[:]),
			RootIssuer: "rootissuer", StatusURL: "http://127.0.0.1:8080",
			Issuer: "newroot", ProfileTenant: "acme", ProfileVersion: 3, Profile: keyed(t, kind), KeyKind: kind,
		},
		Now: clockAt(testTime.Add(time.Hour)),
	}
}

func parsed(t testing.TB, der []byte) *tbs.Parsed {
	t.Helper()
	p, err := tbs.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func linksOf(t testing.TB, old []byte, r *ceremony.Response) *ceremony.Links {
	t.Helper()
	return &ceremony.Links{Old: parsed(t, old), New: parsed(t, r.Certificate), NewWithOld: parsed(t, r.NewWithOld), OldWithNew: parsed(t, r.OldWithNew)}
}

// TestRollover: the new root has the old one's name; each has signed the other's key, as
// RFC 9810, 4.4.1 has it; and it is told once more where it is asked for again.
func TestRollover(t *testing.T) {
	for _, kinds := range [][2]pki.KeyKind{{pki.P384, pki.P384}, {pki.RSA3072, pki.P256}, {pki.P256, pki.MLDSA65}, {pki.MLDSA65, pki.MLDSA87}} {
		t.Run(fmt.Sprintf("%s to %s", kinds[0], kinds[1]), func(t *testing.T) {
			sealed, old := rootOf(t, kinds[0])
			cfg := rolloverConfig(t, sealed, old, kinds[1])
			got, err := ceremony.Rollover(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			links := linksOf(t, old, got)
			if err := links.Check(); err != nil {
				t.Error(err)
			}
			if kind := links.New.Key.Kind(); kind != kinds[1] {
				t.Errorf("the new root has a key %s", kind)
			}
			for name, link := range map[string]*tbs.Parsed{"rootissuer": links.NewWithOld, "newroot": links.OldWithNew} {
				c, err := x509.ParseCertificate(link.Raw)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff([]string{"http://127.0.0.1:8080/crl/" + name + "/0.crl"}, c.CRLDistributionPoints); diff != "" {
					t.Errorf("the CRL of what %s signed (-want +got):\n%s", name, diff)
				}
			}
			cfg.Now = clockAt(testTime.Add(2 * time.Hour))
			again, err := ceremony.Rollover(t.Context(), cfg)
			if diff := cmp.Diff(got, again); diff != "" || err != nil {
				t.Errorf("again: %v (-want +got):\n%s", err, diff)
			}
			if der, err := ceremony.Certificate(cfg.New); err != nil || !bytes.Equal(der, got.Certificate) {
				t.Errorf("the new root's certificate: %v", err)
			}
			// Both roots sign on.
			for path, by := range map[string]struct {
				root       []byte
				passphrase string
			}{sealed: {old, testPassphrase}, cfg.New: {got.Certificate, newPassphrase}} {
				sign := signConfig(path, crlRequest(&x509.Certificate{Raw: by.root}, 1))
				sign.Passphrase, sign.Now = pki.NewSecret(by.passphrase), clockAt(testTime.Add(3*time.Hour))
				if _, err := ceremony.Sign(t.Context(), sign); err != nil {
					t.Errorf("%s: %v", path, err)
				}
			}
		})
	}
}

// TestRolloverGoesOn: a rollover that was cut off goes on, wherever that was once the new
// key was sealed: what was done is not done again.
func TestRolloverGoesOn(t *testing.T) {
	sealed, old := rootOf(t, pki.P384)
	cfg := rolloverConfig(t, sealed, old, pki.P384)
	first, err := ceremony.Rollover(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	lines := func(path string) []string {
		b, err := os.ReadFile(path + ".journal")
		if err != nil {
			t.Fatal(err)
		}
		return strings.SplitAfter(strings.TrimSuffix(string(b), "\n"), "\n")
	}
	whole := map[string][]string{sealed: lines(sealed), cfg.New: lines(cfg.New)}
	if len(whole[sealed]) != 4 || len(whole[cfg.New]) != 4 {
		t.Fatalf("the journals have %d and %d lines", len(whole[sealed]), len(whole[cfg.New]))
	}
	write := func(path string, n int) {
		t.Helper()
		text := strings.TrimSuffix(strings.Join(whole[path][:n], ""), "\n") + "\n"
		if err := os.WriteFile(path+".journal", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg.Now = clockAt(testTime.Add(48 * time.Hour))
	for _, cut := range []struct{ ofNew, ofOld int }{{1, 2}, {2, 2}, {2, 3}, {2, 4}, {3, 4}, {4, 4}} {
		write(cfg.New, cut.ofNew)
		write(sealed, cut.ofOld)
		got, err := ceremony.Rollover(t.Context(), cfg)
		if err != nil {
			t.Errorf("%+v: %v", cut, err)
			continue
		}
		if err := linksOf(t, old, got).Check(); err != nil {
			t.Errorf("%+v: %v", cut, err)
		}
		if !bytes.Equal(got.Certificate, first.Certificate) || cut.ofOld == 4 && !bytes.Equal(got.NewWithOld, first.NewWithOld) || cut.ofNew == 4 && !bytes.Equal(got.OldWithNew, first.OldWithNew) {
			t.Errorf("%+v: what was done is done again", cut)
		}
	}
	for name, lose := range map[string]func(){
		"its key was not sealed": func() { write(cfg.New, 1); write(sealed, 2) },
		"it was sealed in part": func() {
			if err := os.WriteFile(cfg.New, []byte("age-encryption.org/v1\n-> scrypt"), 0o600); err != nil {
				t.Fatal(err)
			}
			write(cfg.New, 1)
			write(sealed, 2)
		},
		"and was lost later": func() { os.Remove(cfg.New + ".journal"); write(sealed, 4) },
	} {
		os.Remove(cfg.New)
		lose()
		before := lines(sealed)
		_, err := ceremony.Rollover(t.Context(), cfg)
		if pki.KindOf(err) != pki.Conflict {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(before, lines(sealed)); diff != "" {
			t.Errorf("%s: the old root signed: %s", name, diff)
		}
	}
}

// TestRolloverRefuses: what is refused leaves no line in the old root's journal.
func TestRolloverRefuses(t *testing.T) {
	sealed, old := rootOf(t, pki.P384)
	before, err := os.ReadFile(sealed + ".journal")
	if err != nil {
		t.Fatal(err)
	}
	another, _ := newRoot(t)
	change := func(from, to string) func(*ceremony.RolloverConfig) {
		return func(c *ceremony.RolloverConfig) { c.Request.Profile = strings.Replace(c.Request.Profile, from, to, 1) }
	}
	for _, tt := range []struct {
		name   string
		change func(c *ceremony.RolloverConfig)
		kind   pki.Kind
		say    string
	}{
		{"another root's request", func(c *ceremony.RolloverConfig) { c.Request.Root = strings.Repeat("0", 64) }, pki.PolicyRefused, "the request is for the root"},
		{"a request for production", func(c *ceremony.RolloverConfig) {
			c.Request.Mode, c.Request.StatusURL = pki.Production, "http://pki.example.com"
		}, pki.PolicyRefused, "made in mode test"},
		{"a request for a CRL", func(c *ceremony.RolloverConfig) { c.Request = crlRequest(&x509.Certificate{}, 1) }, pki.PolicyRefused, "'pando ceremony sign'"},
		{"the old passphrase is wrong", func(c *ceremony.RolloverConfig) { c.Passphrase = c.NewPassphrase }, pki.Forbidden, "does not open"},
		{"the new passphrase is short", func(c *ceremony.RolloverConfig) { c.NewPassphrase = pki.NewSecret("short") }, pki.Malformed, "characters at least"},
		{"the old root has ended", func(c *ceremony.RolloverConfig) {
			c.Request.Made = testTime.AddDate(21, 0, 0)
			c.Now = clockAt(c.Request.Made)
		}, pki.PolicyRefused, "the root is valid from"},
		{"a clock behind", func(c *ceremony.RolloverConfig) { c.Now = clockAt(testTime.AddDate(-6, 0, 0)) }, pki.Conflict, "set the clock"},
		{"no profile", change("profile:", "x:"), pki.Malformed, "profile of the request"},
		{"a profile of devices", func(c *ceremony.RolloverConfig) { c.Request.Profile = string(source(t, "device")) }, pki.PolicyRefused, "not for CA certificates"},
		{"another name", change("from: tenant.organization", "value: Other"), pki.PolicyRefused, "path length"},
		{"room for more", change("pathLength: 1", "pathLength: 2"), pki.PolicyRefused, "room for more"},
		{"room without end", change(", pathLength: 1", ""), pki.PolicyRefused, "room for more"},
		{"an earlier end", change("25y", "5y"), pki.PolicyRefused, "before the old one"},
		{"a kind of key", func(c *ceremony.RolloverConfig) { c.Request.KeyKind = pki.Ed25519 }, pki.BadKey, "allows keys of"},
		{"another root at the place of the new", func(c *ceremony.RolloverConfig) { c.New, c.NewPassphrase = another, c.Passphrase }, pki.Conflict, "was not made for this request"},
		{"the old root at the place of the new", func(c *ceremony.RolloverConfig) { c.New, c.NewPassphrase = sealed, c.Passphrase }, pki.Conflict, "in use"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := rolloverConfig(t, sealed, old, pki.P384)
			cfg.New = filepath.Join(t.TempDir(), "new.sealed")
			tt.change(&cfg)
			_, err := ceremony.Rollover(t.Context(), cfg)
			checkError(t, err, tt.kind, tt.say)
			if left, err := os.ReadDir(filepath.Dir(cfg.New)); len(left) > 0 && filepath.Base(cfg.New) == "new.sealed" {
				t.Errorf("it left %v; %v", left, err)
			}
		})
	}
	cfg := rolloverConfig(t, sealed, old, pki.P384)
	_, err = ceremony.Sign(t.Context(), signConfig(sealed, cfg.Request))
	checkError(t, err, pki.PolicyRefused, "'pando ceremony rollover'")
	_, err = ceremony.Answer(sealed, cfg.Request)
	checkError(t, err, pki.PolicyRefused, "'pando ceremony rollover'")
	if after, err := os.ReadFile(sealed + ".journal"); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the old root's journal has grown: %v", err)
	}
}

// TestRolloverKeepsLimits: the new root has the names and the purposes that the old one is
// limited to.
func TestRolloverKeepsLimits(t *testing.T) {
	for name, limit := range map[string]string{
		"name constraints":   "\nnameConstraints: {permitted: [{dns: example.com}]}\n",
		"extended key usage": "\nextendedKeyUsage: {use: [clientAuth]}\n",
	} {
		t.Run(name, func(t *testing.T) {
			sealed := filepath.Join(t.TempDir(), "old.sealed")
			making := rootConfig(t, sealed)
			making.Profile = append(making.Profile, limit...)
			old, err := ceremony.NewRoot(t.Context(), making)
			if err != nil {
				t.Fatal(err)
			}
			cfg := rolloverConfig(t, sealed, old, pki.P384)
			_, err = ceremony.Rollover(t.Context(), cfg)
			checkError(t, err, pki.PolicyRefused, name)
			cfg.Request.Profile += strings.Replace(strings.Replace(limit, "example.com", "example.net", 1), "clientAuth", "serverAuth", 1)
			_, err = ceremony.Rollover(t.Context(), cfg)
			checkError(t, err, pki.PolicyRefused, name)
			cfg = rolloverConfig(t, sealed, old, pki.P384)
			cfg.Request.Profile += limit
			_, err = ceremony.Rollover(t.Context(), cfg)
			checkError(t, err, pki.Internal, "")
		})
	}
}

// TestLinksRefuse: certificates that do not fit each other are no links.
func TestLinksRefuse(t *testing.T) {
	sealed, old := rootOf(t, pki.P384)
	got, err := ceremony.Rollover(t.Context(), rolloverConfig(t, sealed, old, pki.P384))
	if err != nil {
		t.Fatal(err)
	}
	otherSealed, other := rootOf(t, pki.P384)
	theirs, err := ceremony.Rollover(t.Context(), rolloverConfig(t, otherSealed, other, pki.P384))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(l, o *ceremony.Links){
		"another old root":       func(l, o *ceremony.Links) { l.Old = o.Old },
		"another new root":       func(l, o *ceremony.Links) { l.New = o.New },
		"another NewWithOld":     func(l, o *ceremony.Links) { l.NewWithOld = o.NewWithOld },
		"another OldWithNew":     func(l, o *ceremony.Links) { l.OldWithNew = o.OldWithNew },
		"the links exchanged":    func(l, _ *ceremony.Links) { l.NewWithOld, l.OldWithNew = l.OldWithNew, l.NewWithOld },
		"the roots exchanged":    func(l, _ *ceremony.Links) { l.New, l.Old = l.Old, l.New },
		"one root":               func(l, _ *ceremony.Links) { l.New = l.Old },
		"the root as NewWithOld": func(l, _ *ceremony.Links) { l.NewWithOld = l.New },
		"a link as a root":       func(l, _ *ceremony.Links) { l.New = l.NewWithOld },
	} {
		l := linksOf(t, old, got)
		change(l, linksOf(t, other, theirs))
		if err := l.Check(); pki.KindOf(err) != pki.PolicyRefused {
			t.Errorf("%s: %v", name, err)
		}
	}
}
