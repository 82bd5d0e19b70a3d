//go:build system

package acceptance

import (
	"context"
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

// newAbove makes an intermediate authority, whose key is in the server, and returns its
// name.
func newAbove(t *testing.T, h *house) string {
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
	const above = "above"
	_, err = c.CreateAuthority(t.Context(), client.NewAuthority{Name: above, CommonName: "Example " + above, Kind: "intermediate", Parent: "deep", Profile: "intermediate-ca", StatusURL: h.file.HTTP})
	must(err)
	_, err = c.Install(t.Context(), h.sign(t, root, above))
	must(err)
	return above
}

// newBelow returns a roller of an authority of a name that is to be made below one whose key
// is in the server.
func newBelow(h *house, random *rand.Rand, name, above string) *roller {
	return &roller{house: h, random: random, authority: name, endpoint: name, above: above, probes: make(map[string]*x509.Certificate)}
}

// creation makes the authority.
func (r *roller) creation() step {
	return step{name: "create", prepare: act(func(ctx context.Context, c *client.Client) error {
		_, err := c.CreateAuthority(ctx, client.NewAuthority{Name: r.authority, CommonName: "Example " + r.authority, Kind: "issuing", Parent: r.above, StatusURL: r.file.HTTP})
		return err
	}).asIs, becomes: begin("active"), between: begin("pending")}
}

// begun makes the endpoint of the authority, which is there.
func (r *roller) begun(t *testing.T) {
	t.Helper()
	c := r.as(t, "")
	device, err := c.Endpoint(t.Context(), "device")
	if err == nil {
		_, err = c.CreateEndpoint(t.Context(), client.NewEndpoint{Name: r.endpoint, Authority: r.authority, Profile: device.Profile.Name})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// accounted sees that the authority above the rollers' has issued as many certificates of
// authorities as there are issuers below it, each for one of them.
func accounted(t *testing.T, below ...*roller) {
	t.Helper()
	var want, got []string
	for _, r := range below {
		certificates := make(map[string]*x509.Certificate) // by the issuer's id
		for _, i := range r.show(t).Issuers {
			c := parsePEM(t, i.Certificate)
			certificates[i.ID] = c
			want = append(want, c.SerialNumber.Text(16))
			if i.Active {
				r.probe(t, i.ID, c)
			}
		}
		r.status(t, certificates)
	}
	c, above := below[0].as(t, ""), below[0].above
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
		t.Errorf("%s issued certificates %v, and issuers below it have %v", above, got, want)
	}
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
	r := newBelow(h, random, "below", newAbove(t, h))
	if err := r.creation().prepare(t)(t.Context(), h.as(t, "")); err != nil {
		t.Fatal(err)
	}
	r.begun(t)
	kills, hindered := 0, 0
	for range rounds {
		for _, s := range r.onlineSteps() {
			kills++
			if r.killed(t, s, 20*time.Millisecond) {
				hindered++
			}
			accounted(t, r)
		}
	}
	h.stop(t)
	h.check(t, "")
	h.relint(t)
	t.Logf("%d kills, %d of which came before the step was done, %d of these in the middle of it", kills, hindered, r.cut)
}

// TestKillOnlineCreation kills the server within the creation of authorities below one whose
// key is online, at random moments. An authority is made, or begun, or not there; created
// again there is one, with one issuer, whose certificate is the only one that the authority
// above issued for it.
func TestKillOnlineCreation(t *testing.T) {
	rounds := 24
	if testing.Short() {
		rounds = 6
	}
	random := seeded(t)
	h := newHouse(t, 2)
	h.serve(t)
	above := newAbove(t, h)
	var all []*roller
	hindered, cut := 0, 0
	for n := range rounds {
		r := newBelow(h, random, fmt.Sprintf("below-%d", n), above)
		if r.killed(t, r.creation(), 20*time.Millisecond) {
			hindered++
		}
		cut += r.cut
		r.begun(t)
		all = append(all, r)
	}
	accounted(t, all...)
	h.stop(t)
	h.check(t, "")
	h.relint(t)
	t.Logf("%d kills, %d of which came before the authority was made, %d of these in the middle of it", rounds, hindered, cut)
}
