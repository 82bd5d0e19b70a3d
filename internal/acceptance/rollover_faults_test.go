//go:build system

package acceptance

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	"golang.org/x/crypto/ocsp"

	"github.com/pando-pki/pando/client"
)

// patience is how long a ceremony, which derives keys from passphrases, and the CRLs of a
// next issuer may take on a machine that is busy with other things.
const patience = 5 * time.Minute

// A roller rolls the authority of a house's meters over, again and again.
type roller struct {
	*house
	random    *rand.Rand
	authority string
	endpoint  string                       // of the authority
	probes    map[string]*x509.Certificate // one that each issuer has signed
	cut       int                          // steps that were cut off in between
	above     string                       // authority above it, where that is online
}

func newRoller(t *testing.T, h *house, random *rand.Rand) *roller {
	t.Helper()
	r := &roller{house: h, random: random, endpoint: "device", probes: make(map[string]*x509.Certificate)}
	e, err := h.as(t, "").Endpoint(t.Context(), r.endpoint)
	if err != nil {
		t.Fatal(err)
	}
	r.authority = e.Authority
	return r
}

// An act is one call of a rollover.
type act func(ctx context.Context, c *client.Client) error

// A step is an act with what becomes of the states of the issuers, newest first.
type step struct {
	name    string
	prepare func(t *testing.T) act
	becomes func(states []string) []string
	between func(states []string) []string // what it may be cut off in; nil is nothing
}

func (a act) asIs(*testing.T) act { return a }

// first returns what puts a state in the place of the newest issuer's.
func first(state string) func([]string) []string {
	return func(s []string) []string { return append([]string{state}, s[1:]...) }
}

// steps are those of three rollovers, two of which are given up: one while its issuer is
// pending, and one when it is next.
func (r *roller) steps() []step {
	rollover := step{name: "rollover", prepare: r.rollover, becomes: begin("pending")}
	install := step{name: "install", prepare: func(t *testing.T) act { return installs(r.ceremony(t)) }, becomes: first("next")}
	return []step{rollover, r.drop(), rollover, install, r.drop(), rollover, install, r.change()}
}

// onlineSteps are those of two rollovers below an authority whose key is in the server, of
// which one is given up.
func (r *roller) onlineSteps() []step {
	rollover := step{name: "rollover", prepare: r.rollover, becomes: begin("next"), between: begin("pending")}
	return []step{rollover, r.drop(), rollover, r.change()}
}

// begin returns what puts another issuer before those that there are.
func begin(state string) func([]string) []string {
	return func(s []string) []string { return append([]string{state}, s...) }
}

func (r *roller) rollover(*testing.T) act {
	return func(ctx context.Context, c *client.Client) error {
		_, err := c.Rollover(ctx, r.authority, client.Rollover{})
		return err
	}
}

func (r *roller) change() step {
	return step{name: "switch", prepare: act(func(ctx context.Context, c *client.Client) error {
		_, err := c.Switch(ctx, r.authority)
		return err
	}).asIs, becomes: func(s []string) []string {
		s = first("active")(s)
		s[1+slices.Index(s[1:], "active")] = "earlier"
		return s
	}}
}

func (r *roller) drop() step {
	return step{name: "drop", prepare: act(func(ctx context.Context, c *client.Client) error { return c.DropNext(ctx, r.authority) }).asIs, becomes: first("dropped")}
}

func installs(answer []byte) act {
	return func(ctx context.Context, c *client.Client) error { _, err := c.Install(ctx, answer); return err }
}

// ceremony has the root sign what the authority's next issuer asks for.
func (r *roller) ceremony(t *testing.T) []byte {
	t.Helper()
	return r.sign(t, filepath.Join(r.dir, "ceremony", "root.sealed"), r.authority)
}

// sign has a root, which has the passphrase of a quickstart's, sign what an authority asks
// for.
func (h *house) sign(t *testing.T, root, authority string) []byte {
	t.Helper()
	request, err := h.as(t, "").AuthorityRequest(t.Context(), authority)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	asked, answered := writeFile(t, dir, "request.json", request), filepath.Join(dir, "answer.json")
	out := pando(t, "ceremony", "sign", "--root", root, "--request", asked, "--out", answered, "--passphrase-file", h.passphrase(), "--yes")
	if out.status != 0 {
		t.Fatalf("ceremony sign: %s", out.stderr)
	}
	answer, err := os.ReadFile(answered)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// passphrase is the file with the passphrase of a quickstart's root.
func (h *house) passphrase() string { return filepath.Join(h.dir, "ceremony", "root.passphrase") }

// show returns the authority, asked until it is told; one that is not there has no issuers.
func (r *roller) show(t *testing.T) *client.Authority {
	t.Helper()
	var a *client.Authority
	c := r.as(t, "")
	err := insist(t.Context(), func() (err error) { a, err = c.Authority(t.Context(), r.authority); return err })
	if p, ok := errors.AsType[*client.Problem](err); ok && p.Status == http.StatusNotFound {
		return new(client.Authority)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func states(a *client.Authority) (all []string) {
	for _, i := range a.Issuers {
		all = append(all, i.State)
	}
	return all
}

// try does a step once while fault is at work on it, which returns when the server is
// well again. The authority is then as it was before, or between, or as it is after the step: after it
// where that was said. If need be the step is done again. It reports whether the fault was
// in its way.
func (r *roller) try(t *testing.T, s step, fault func(ended <-chan error) error) (hindered bool) {
	t.Helper()
	before := states(r.show(t))
	after := s.becomes(before)
	does := s.prepare(t)
	c, ended := r.as(t, ""), make(chan error, 1)
	go func() { ended <- does(t.Context(), c) }()
	err := fault(ended)
	now := states(r.show(t))
	switch {
	case slices.Equal(now, after):
	case !slices.Equal(now, before) && (s.between == nil || !slices.Equal(now, s.between(before))):
		t.Fatalf("%s leaves issuers that are %v; they were %v", s.name, now, before)
	case err == nil:
		t.Fatalf("%s was acknowledged, and issuers are %v", s.name, now)
	default:
		hindered = true
		if !slices.Equal(now, before) {
			r.cut++
		}
		if err := insist(t.Context(), func() error { return does(t.Context(), c) }); err != nil {
			t.Fatalf("%s again: %v", s.name, err)
		}
		if now := states(r.show(t)); !slices.Equal(now, after) {
			t.Fatalf("%s again leaves issuers that are %v, want %v", s.name, now, after)
		}
	}
	err = does(t.Context(), c)
	if p, ok := errors.AsType[*client.Problem](err); !ok || p.Status != http.StatusConflict {
		t.Errorf("%s once more: %v", s.name, err)
	}
	return hindered
}

// consistent sees that what is issued comes from the active issuer, that EST publishes the
// issuers that it should, and that each issuer that has signed anything has a CRL and
// answers by OCSP.
func (r *roller) consistent(t *testing.T) {
	t.Helper()
	a := r.show(t)
	certificates := make(map[string]*x509.Certificate) // by the issuer's id
	want := []string{}
	for _, i := range a.Issuers {
		if i.Certificate == "" {
			continue
		}
		c := parsePEM(t, i.Certificate)
		certificates[i.ID] = c
		if i.State != "dropped" {
			want = append(want, string(c.Raw))
		}
		if i.Active {
			r.probe(t, i.ID, c)
		}
	}
	want = append(want, string(readCertificates(t, r.file.Root)[0].Raw))
	var got []string
	for _, c := range r.published(t) {
		got = append(got, string(c.Raw))
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("while issuers are %v, EST publishes %d certificates, not %d, or others", states(a), len(got), len(want))
	}
	r.status(t, certificates)
}

// status waits until each issuer has a CRL of its own, and asks by OCSP for what it signed.
func (r *roller) status(t *testing.T, issuers map[string]*x509.Certificate) {
	t.Helper()
	c := r.as(t, "")
	for begun := time.Now(); ; time.Sleep(pause) {
		all, err := c.CRLs(t.Context())
		if err != nil && !passing(t.Context(), err) {
			t.Fatal(err)
		}
		missing, seen := 0, make(map[string]bool)
		for _, l := range all {
			issuer := issuers[l.Issuer]
			if issuer == nil {
				continue
			}
			if seen[l.Issuer] = true; l.Number == 0 {
				missing++
				continue
			}
			list, err := x509.ParseRevocationList(fetch(t, l.URL))
			if err == nil {
				err = list.CheckSignatureFrom(issuer)
			}
			if err != nil || !list.NextUpdate.After(time.Now()) {
				t.Errorf("the CRL of issuer %s until %s: %v", l.Issuer, list.NextUpdate, err)
			}
		}
		if err == nil && missing == 0 && len(seen) == len(issuers) {
			break
		}
		if time.Since(begun) > patience {
			t.Fatalf("of %d issuers %d have CRLs, and %d CRLs are missing: %v", len(issuers), len(seen), missing, err)
		}
	}
	for id, probe := range r.probes {
		err := insist(t.Context(), func() error { return good(probe, issuers[id]) })
		if err != nil {
			t.Errorf("OCSP of issuer %s: %v", id, err)
		}
	}
}

// good asks by OCSP whether a certificate is.
func good(c, issuer *x509.Certificate) error {
	question, err := ocsp.CreateRequest(c, issuer, &ocsp.RequestOptions{Hash: crypto.SHA256})
	if err != nil {
		return err
	}
	resp, err := http.Post(c.OCSPServer[0], "application/ocsp-request", bytes.NewReader(question))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	answer, err := ocsp.ParseResponseForCert(text, c, issuer)
	if late, ok := errors.AsType[ocsp.ResponseError](err); ok && late.Status == ocsp.TryLater {
		return &client.Problem{Kind: "unavailable", Detail: "try later"} // the issuer's responder has no certificate yet
	}
	if err == nil && answer.Status != ocsp.Good {
		return &client.Problem{Kind: "internal", Detail: fmt.Sprintf("status %d", answer.Status)}
	}
	if err != nil {
		return &client.Problem{Kind: "internal", Detail: err.Error()}
	}
	return nil
}

// probe has a certificate issued, which must come from the issuer.
func (r *roller) probe(t *testing.T, id string, issuer *x509.Certificate) {
	t.Helper()
	csr, err := request("probe-" + strconv.Itoa(r.random.Int()))
	if err != nil {
		t.Fatal(err)
	}
	var got *client.Enrolled
	c := r.as(t, "")
	if err := insist(t.Context(), func() (err error) {
		got, err = c.Enroll(t.Context(), client.Enrollment{Endpoint: r.endpoint, CSR: csr}, csr[:60])
		return err
	}); err != nil {
		t.Fatal(err)
	}
	p := parsePEM(t, got.Certificate)
	if err := p.CheckSignatureFrom(issuer); err != nil || got.Issuer != id {
		t.Errorf("issuer %s issues while %s is active: %v", got.Issuer, id, err)
	}
	r.probes[got.Issuer] = p
}

// published returns what EST says are the authorities' certificates.
func (r *roller) published(t *testing.T) []*x509.Certificate {
	t.Helper()
	over := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: certPool(t, r.file.TLSCA)}}}
	defer over.CloseIdleConnections()
	var body []byte
	err := insist(t.Context(), func() error {
		resp, err := over.Get(r.file.EST.Base + "/.well-known/est/" + r.file.EST.Label + "/cacerts")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if body, err = io.ReadAll(resp.Body); err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", resp.Status, body)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	der, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(string(body), "\r\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	message, err := pkcs7.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	return message.Certificates
}

func parsePEM(t *testing.T, text string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatalf("%.60q is no PEM", text)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// relint runs "pando check --relint" on the stopped server's data.
func (h *house) relint(t *testing.T) {
	t.Helper()
	if out := pando(t, "check", "--relint", "--data", h.data()); out.status != 0 {
		t.Errorf("pando check --relint: exit status %d\n%s%s", out.status, out.stdout, out.stderr)
	}
}

// killed tries a step while the server is killed, at a random moment within some time, and
// started again.
func (r *roller) killed(t *testing.T, s step, within time.Duration) (hindered bool) {
	t.Helper()
	return r.try(t, s, func(ended <-chan error) error {
		time.Sleep(time.Duration(r.random.Int64N(int64(within))))
		r.server.kill(t)
		err := <-ended
		r.begin(t)
		r.ready(t)
		return err
	})
}

// TestKillRollover kills the server within each step of rollovers, at random moments and
// under load. A step is done or not, nothing between; issuance goes on under the issuer
// that is active; what is published and the status of each issuer fit; and the store is
// sound.
func TestKillRollover(t *testing.T) {
	rounds := 4
	if testing.Short() {
		rounds = 1
	}
	random := seeded(t)
	h := newHouse(t, 2)
	before := h.check(t, "")
	h.serve(t)
	r := newRoller(t, h, random)
	l := startLoad(t, h, 200)
	kills, hindered := 0, 0
	for range rounds {
		for _, s := range r.steps() {
			kills++
			if r.killed(t, s, 40*time.Millisecond) {
				hindered++
			}
			r.consistent(t)
			if l.failed.Err() != nil {
				t.Fatal(l.wait())
			}
		}
	}
	if err := l.wait(); err != nil {
		t.Fatal(err)
	}
	l.repeat(t)
	h.stop(t)
	after := h.check(t, l.acks.path)
	if got, want := after.Issuers-before.Issuers, int64(2*rounds); got != want {
		t.Errorf("the store has %d new issuers with a certificate, want %d", got, want)
	}
	h.relint(t)
	t.Logf("%d kills, %d of which came before the step was done; %d batches of %d rows and %d single certificates by %d issuers",
		kills, hindered, l.batches, l.rows, len(l.singles), len(r.probes))
}

// TestFailingDiskRollover lets the disk under the store fail within each step of
// rollovers: nothing is acknowledged that is not stored, and the step succeeds when the
// disk is well again, on the server as it is, or after a crash.
func TestFailingDiskRollover(t *testing.T) {
	random := seeded(t)
	h := newHouse(t, 2)
	h.serve(t)
	r := newRoller(t, h, random)
	l := startLoad(t, h, 200)
	faults := []struct{ name, calls, failure, seen string }{
		{"a sync that fails", "fsync,fdatasync", "EIO", "disk I/O error"},
		{"a full disk", "pwrite64,write", "ENOSPC", "database or disk is full"},
	}
	if testing.Short() {
		one := random.IntN(len(faults))
		faults = faults[one : one+1]
	}
	for _, fault := range faults {
		hindered := 0
		for _, s := range r.steps() {
			heal := h.inject(t, fault.calls, fault.failure, h.database()...)
			// What was on its way to the disk before is answered, and then nothing.
			l.stops(t, fault.name)
			if r.try(t, s, func(ended <-chan error) error {
				var err error
				select {
				case err = <-ended:
					if err == nil {
						t.Errorf("%s: %s was acknowledged", fault.name, s.name)
					}
					heal()
				case <-time.After(30 * time.Second): // it waits for the store
					heal()
					err = <-ended
				}
				if random.IntN(2) == 0 {
					h.server.kill(t)
					h.begin(t)
				}
				h.ready(t)
				return err
			}) {
				hindered++
			}
			l.progress(t, "after "+s.name+" and "+fault.name)
			r.consistent(t)
		}
		t.Logf("%s was in the way of %d steps", fault.name, hindered)
		if hindered == 0 {
			t.Errorf("%s was in the way of no step", fault.name)
		}
		if log, err := os.ReadFile(h.log); err != nil || !strings.Contains(string(log), fault.seen) {
			t.Errorf("the server's log does not say %q (%v): did the disk fail at all?", fault.seen, err)
		}
	}
	if err := l.wait(); err != nil {
		t.Fatal(err)
	}
	l.repeat(t)
	h.stop(t)
	h.check(t, l.acks.path)
	h.relint(t)
}

// A following is the ceremony that has the root of a quickstart followed by another, in a
// directory of its own with copies of the root's files.
type following struct {
	dir, sealed, next string
	passphrase        string // file of the root's
}

func newFollowing(t *testing.T, h *house, request []byte) *following {
	t.Helper()
	dir := t.TempDir()
	f := &following{dir: dir, sealed: filepath.Join(dir, "root.sealed"), next: filepath.Join(dir, "root-2.sealed"), passphrase: h.passphrase()}
	writeFile(t, dir, "request.json", request)
	files := map[string][]byte{"passphrase": []byte("only for this test\n")}
	for _, name := range []string{"root.sealed", "root.sealed.journal"} {
		var err error
		if files[name], err = os.ReadFile(filepath.Join(h.dir, "ceremony", name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// begin starts the ceremony for the nth time, with words before it, as those of strace, and
// returns the file that its answer is to be in.
func (f *following) begin(t *testing.T, n int, before ...string) (p *process, answer string) {
	t.Helper()
	answer = filepath.Join(f.dir, fmt.Sprintf("answer-%d.json", n))
	args := append(before, os.Getenv(binaryVariable), "ceremony", "rollover", "--root", f.sealed, "--new", f.next, "--request", filepath.Join(f.dir, "request.json"), "--out", answer,
		"--passphrase-file", f.passphrase, "--new-passphrase-file", filepath.Join(f.dir, "passphrase"), "--yes")
	return start(t, filepath.Join(f.dir, "said"), args[0], args[1:]...), answer
}

// end has the ceremony come to its end, and returns its answer.
func (f *following) end(t *testing.T, n int) []byte {
	t.Helper()
	p, file := f.begin(t, n)
	if status := p.within(t, patience); status != 0 {
		t.Fatalf("ceremony %d: exit status %d\n%s", n, status, f.said(t))
	}
	answer, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// said returns what the ceremonies have said.
func (f *following) said(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, "said"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// lost has what there is of a key that was not sealed moved away, as the ceremony asks, and
// reports whether there was anything.
func (f *following) lost(t *testing.T) bool {
	t.Helper()
	key, err := os.Stat(f.next)
	if err == nil && key.Size() > 0 {
		return false
	}
	begun := false
	for _, file := range []string{f.next, f.next + ".journal"} {
		switch err := os.Remove(file); {
		case err == nil:
			begun = true
		case !errors.Is(err, os.ErrNotExist):
			t.Fatal(err)
		}
	}
	return begun
}

// follow makes a place for the root that follows a house's, and returns what it asks a
// ceremony for.
func (h *house) follow(t *testing.T) []byte {
	t.Helper()
	c := h.as(t, "")
	if _, err := c.Rollover(t.Context(), "root", client.Rollover{}); err != nil {
		t.Fatal(err)
	}
	request, err := c.AuthorityRequest(t.Context(), "root")
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// TestFailingDiskCeremony lets each write and each sync fail in turn of the ceremony that
// has a root followed by another. It says so, and goes on when the disk is well again.
func TestFailingDiskCeremony(t *testing.T) {
	h := newHouse(t, 2)
	h.serve(t)
	request := h.follow(t)
	h.stop(t)
	faults := []struct{ name, calls, failure string }{{"a full disk", "write", "ENOSPC"}, {"a sync that fails", "fsync", "EIO"}}
	if testing.Short() {
		faults = faults[:1]
	}
	for _, fault := range faults {
		failed, keysLost := 0, 0
		for n := 1; ; n++ {
			f := newFollowing(t, h, request)
			before := []string{"strace", "-f", "-qq", "-o", filepath.Join(f.dir, "strace"), "-e", "trace=" + fault.calls, "-e", fmt.Sprintf("inject=%s:error=%s:when=%d", fault.calls, fault.failure, n)}
			for _, file := range []string{f.dir, f.sealed + ".journal", f.next, f.next + ".journal", filepath.Join(f.dir, "answer-0.json")} {
				before = append(before, "-P", file)
			}
			p, answer := f.begin(t, 0, before...)
			if p.within(t, patience) == 0 { // there are fewer
				break
			}
			failed++
			if info, err := os.Stat(answer); err == nil && info.Size() > 0 {
				t.Errorf("%s: ceremony %d failed, and has an answer", fault.name, n)
			}
			if f.lost(t) {
				keysLost++
			}
			if answer := f.end(t, 1); !bytes.Equal(answer, f.end(t, 2)) {
				t.Errorf("%s: the ceremony after %d once more has another answer", fault.name, n)
			}
		}
		t.Logf("%s: %d ceremonies failed, of which %d lost a key", fault.name, failed, keysLost)
		if failed < 4 {
			t.Errorf("%s: %d ceremonies failed: there is more that they write", fault.name, failed)
		}
	}
}

// TestKillCeremony kills the ceremony that has a root followed by another, at random
// moments, and the server while its answer is installed. The ceremony goes on where it was
// cut off, and the store never has a part of its answer.
func TestKillCeremony(t *testing.T) {
	kills := 12
	if testing.Short() {
		kills = 4
	}
	random := seeded(t)
	h := newHouse(t, 2)
	h.serve(t)
	f := newFollowing(t, h, h.follow(t))
	keysLost, length := 0, 3*time.Second // of a ceremony, until one came to its end
	for n := range kills {
		p, _ := f.begin(t, n)
		within := length
		if n%2 == 1 { // what comes after the sealing of the key is short
			for _, err := os.Stat(f.next); err != nil && time.Since(p.started) < patience; _, err = os.Stat(f.next) {
				time.Sleep(time.Millisecond)
			}
			within = 20 * time.Millisecond
		}
		select {
		case <-p.ended:
			length = time.Since(p.started)
			if status := p.cmd.ProcessState.ExitCode(); status != 0 {
				t.Fatalf("ceremony %d: exit status %d\n%s", n, status, f.said(t))
			}
		case <-time.After(time.Duration(random.Int64N(int64(within)))):
			p.kill(t)
		}
		if f.lost(t) {
			keysLost++
		}
	}
	answer := f.end(t, kills)
	if again := f.end(t, kills+1); !bytes.Equal(again, answer) {
		t.Error("the ceremony once more has another answer")
	}

	r := &roller{house: h, random: random, authority: "root"}
	install := step{name: "install", prepare: installs(answer).asIs, becomes: first("next")}
	cut := func(ended <-chan error) error {
		time.Sleep(time.Duration(random.Int64N(int64(20 * time.Millisecond))))
		h.server.kill(t)
		err := <-ended
		h.relint(t) // as it was left
		h.serve(t)
		return err
	}
	r.try(t, install, cut)
	r.try(t, r.change(), cut)
	if n := len(r.published(t)); n != 5 { // the authority, both roots and the links
		t.Errorf("EST publishes %d certificates of a root that followed another", n)
	}
	h.stop(t)
	h.check(t, "")
	h.relint(t)
	t.Logf("%d kills within the ceremony, of which %d lost a key", kills, keysLost)
}
