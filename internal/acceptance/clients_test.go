//go:build system

package acceptance

import (
	"crypto/fips140"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// A bench is a directory in which clients that are not ours run against a house's
// server, with what they are told in their environment.
type bench struct {
	dir string
	env []string
}

// newBench returns a bench with what the operator's pages have their readers set.
func (h *house) newBench(t *testing.T) bench {
	t.Helper()
	b := bench{dir: t.TempDir(), env: append(os.Environ(),
		"BASE="+h.file.EST.Base, "EST="+h.file.EST.Base+"/.well-known/est/"+h.file.EST.Label, "TLS_CA="+h.file.TLSCA,
		"SECRET_ID="+h.file.EST.User, "SECRET="+h.file.EST.Password.Reveal(),
		"URL="+h.file.SCEP.URL, "CHALLENGE="+h.file.SCEP.Challenge.Reveal(),
		"STATUS="+h.file.HTTP, "PANDO_QUICKSTART="+h.dir,
		"PATH="+filepath.Dir(os.Getenv(binaryVariable))+":"+os.Getenv("PATH"))}
	if !fips140.Enabled() {
		return b
	}
	// As docs/operator/fips.md says of strongSwan.
	writeFile(t, b.dir, "strongswan.conf", []byte("libtls {\n\tversion_max = 1.3\n\tke_group = ecp256\n}\n"))
	return b.with("STRONGSWAN_CONF=" + filepath.Join(b.dir, "strongswan.conf"))
}

// with returns the bench with more in its environment.
func (b bench) with(more ...string) bench {
	return bench{b.dir, append(b.env[:len(b.env):len(b.env)], more...)}
}

// try runs a script of bash and returns all that it says.
func (b bench) try(t *testing.T, script string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-euxo", "pipefail", "-c", script)
	cmd.Dir, cmd.Env = b.dir, b.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// run runs a script, which must succeed and say each of want.
func (b bench) run(t *testing.T, script string, want ...string) {
	t.Helper()
	out, err := b.try(t, script)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Errorf("no %q in\n%s", w, out)
		}
	}
}

// areFor fails the test where certificates of the bench are not for keys of a kind.
func (b bench) areFor(t *testing.T, kind pki.KeyKind, files ...string) {
	t.Helper()
	for _, file := range files {
		c := readCertificates(t, filepath.Join(b.dir, file))[0]
		if key, err := tbs.NewPublicKey(c.PublicKey); err != nil || key.Kind() != kind {
			t.Errorf("%s is not for a key of kind %s: %T, %v", file, kind, c.PublicKey, err)
		}
	}
}

// recipes returns the shell commands of an operator's page, block by block.
func recipes(t *testing.T, page string, blocks int) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs/operator", page))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		all = append(all, m[1])
	}
	if len(all) != blocks {
		t.Fatalf("%s has %d recipes, want %d", page, len(all), blocks)
	}
	return all
}

// have fails the test where the devices do not have so many certificates each.
func (h *house) have(t *testing.T, n int, devices ...string) {
	t.Helper()
	for _, device := range devices {
		list, err := h.as(t, "").Certificates(t.Context(), client.CertificateQuery{Device: device}, "", 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Items) != n {
			t.Errorf("%s has %d certificates, want %d", device, len(list.Items), n)
		}
	}
}
