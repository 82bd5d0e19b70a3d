//go:build system

package acceptance

import (
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pando-pki/pando/client"
)

// newOnlineRoller returns a roller of an authority below an intermediate one, whose key is
// in the server, and the name of that.
func newOnlineRoller(t *testing.T, h *house, random *rand.Rand) (r *roller, above string) {
	t.Helper()
	c := h.as(t, "")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ca := func(name string, years, pathLength int) []byte {
		return fmt.Appendf(nil, `profile: %s
keys: {allow: [p256]}
validity: %dy
subject:
  - {type: CN, from: authority.commonName}
basicConstraints: {ca: true, pathLength: %d}
keyUsage: {use: [keyCertSign, cRLSign]}
policies: [2.5.29.32.0]
keyIdentifiers: [subject, authority]
`, name, years, pathLength)
	}
	dir := t.TempDir()
	root, certificate := filepath.Join(dir, "root.sealed"), filepath.Join(dir, "root.pem")
	out := pando(t, "ceremony", "root", "--common-name", "Example deep root", "--organization", "Example", "--mode", "test", "--profile", writeFile(t, dir, "root.yaml", ca("root", 25, 2)),
		"--out", root, "--certificate", certificate, "--passphrase-file", h.passphrase(), "--yes")
	if out.status != 0 {
		t.Fatalf("ceremony root: %s", out.stderr)
	}
	text, err := os.ReadFile(certificate)
	must(err)
	_, err = c.ImportRoot(t.Context(), client.NewRoot{Name: "deep", Mode: "test", StatusURL: h.file.HTTP, Certificate: string(text)})
	must(err)
	_, err = c.PublishProfile(t.Context(), append(ca("intermediate-ca", 20, 1), "status: {crl: true, caIssuers: true}\n"...))
	must(err)
	create := func(name, kind, parent, profile string) {
		t.Helper()
		_, err := c.CreateAuthority(t.Context(), client.NewAuthority{Name: name, CommonName: "Example " + name, Kind: kind, Parent: parent, Profile: profile, StatusURL: h.file.HTTP})
		must(err)
	}
	above = "above"
	create(above, "intermediate", "deep", "intermediate-ca")
	_, err = c.Install(t.Context(), h.sign(t, root, above))
	must(err)
	r = &roller{house: h, random: random, authority: "below", endpoint: "below", probes: make(map[string]*x509.Certificate)}
	create(r.authority, "issuing", above, "issuing-ca")
	device, err := c.Endpoint(t.Context(), "device")
	must(err)
	_, err = c.CreateEndpoint(t.Context(), client.NewEndpoint{Name: r.endpoint, Authority: r.authority, Profile: device.Profile.Name})
	must(err)
	return r, above
}

// accounted sees that the authority above has issued as many certificates of authorities as
// there are issuers below it, each for one of them.
func (r *roller) accounted(t *testing.T, above string) {
	t.Helper()
	var want, got []string
	certificates := make(map[string]*x509.Certificate) // by the issuer's id
	for _, i := range r.show(t).Issuers {
		c := parsePEM(t, i.Certificate)
		certificates[i.ID] = c
		want = append(want, c.SerialNumber.Text(16))
		if i.Active {
			r.probe(t, i.ID, c)
		}
	}
	c := r.as(t, "")
	var parent *client.Authority
	err := insist(t.Context(), func() (err error) { parent, err = c.Authority(t.Context(), above); return err })
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range parent.Issuers {
		var page *client.List[client.Certificate]
		err := insist(t.Context(), func() (err error) {
			page, err = c.Certificates(t.Context(), client.CertificateQuery{Issuer: i.ID, Profile: "issuing-ca"}, "", 1000)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range page.Items {
			got = append(got, x.Serial)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%s issued certificates %v, and issuers of %s have %v", above, got, r.authority, want)
	}
	r.status(t, certificates)
}

// TestKillOnlineRollover kills the server within each step of rollovers below an authority
// whose key is online, at random moments. A step is done or not, and done again there is one
// next issuer, whose certificate is the only one that the authority above issued for it.
func TestKillOnlineRollover(t *testing.T) {
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	random := seeded(t)
	h := newHouse(t, 2)
	h.serve(t)
	r, above := newOnlineRoller(t, h, random)
	kills, hindered := 0, 0
	for range rounds {
		for _, s := range r.onlineSteps() {
			kills++
			if r.killed(t, s, 20*time.Millisecond) {
				hindered++
			}
			r.accounted(t, above)
		}
	}
	h.stop(t)
	h.check(t, "")
	h.relint(t)
	t.Logf("%d kills, %d of which came before the step was done, %d of these in the middle of it", kills, hindered, r.cut)
}
