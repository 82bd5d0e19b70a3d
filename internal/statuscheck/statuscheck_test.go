package statuscheck_test

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/blob"
	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/proto/status"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/revocation/revocationtest"
	"github.com/pando-pki/pando/internal/statuscheck"
)

// A house is a VA that is served over HTTP and published to a directory, with a
// checker.
type house struct {
	*testing.T
	*revocationtest.VA
	checker *statuscheck.Checker
	web     blob.Directory
	answer  atomic.Pointer[http.HandlerFunc] // in the place of the VA, where it is set
	mu      sync.Mutex
	again   []string         // guarded by mu: what the publisher was asked for
	others  []*pki.Issuer    // beside the VA's, in front of it
	lost    []pki.Revocation // that are in no CRL
	sampled pki.Serial       // what there is to sample; zero is a new one each time
	reached time.Time        // when the publisher brought something to the target
	refused map[string]error // by object: what the target answers in its place; "" is all
}

// store is the VA's, with what the checker needs beside.
type store struct {
	*revocationtest.FakeStore
	h *house
}

func (s store) AllIssuers(context.Context) ([]*pki.Issuer, error) {
	return append(slices.Clone(s.h.others), s.h.CA.Issuer), nil
}

// Shard is the VA's for the others too.
func (s store) Shard(ctx context.Context, _ pki.IssuerID, shard int) (revocation.ShardState, error) {
	return s.FakeStore.Shard(ctx, s.h.CA.Issuer.ID, shard%s.h.CA.Issuer.Shards)
}

// Revoked has what is lost, too.
func (s store) Revoked(ctx context.Context, issuer pki.IssuerID, shard int, upto int64, now time.Time, span revocation.Span, limit int) ([]pki.Revocation, error) {
	got, err := s.FakeStore.Revoked(ctx, issuer, shard, upto, now, span, limit)
	for _, r := range s.h.lost {
		at, _ := slices.BinarySearchFunc(got, r, func(a, b pki.Revocation) int { return bytes.Compare(a.Serial[:], b.Serial[:]) })
		if bytes.Compare(r.Serial[:], span.After[:]) > 0 && (at < len(got) || len(got) < limit) {
			got = slices.Insert(got, at, r)
		}
	}
	return got[:min(len(got), limit)], err
}

func (s store) SampleSerial(context.Context, pki.IssuerID, pki.Serial) (pki.Serial, error) {
	if s.h.sampled != (pki.Serial{}) {
		return s.h.sampled, nil
	}
	return s.h.Issue(), nil
}

// Again implements statuscheck.Publisher.
func (h *house) Again(target string, list revocation.List) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.again = append(h.again, target+" "+list.Path())
}

// AgainChain implements statuscheck.Publisher.
func (h *house) AgainChain(target string, issuer pki.IssuerID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.again = append(h.again, target+" ca/"+string(issuer))
}

// Reached implements statuscheck.Publisher.
func (h *house) Reached(string) time.Time { return h.reached }

// Read implements statuscheck.Target.
func (h *house) Read(ctx context.Context, name string, limit int64) ([]byte, string, error) {
	for _, of := range []string{name, ""} {
		if err := h.refused[of]; err != nil {
			return nil, "", err
		}
	}
	return h.web.Read(ctx, name, limit)
}

// Chain implements statuscheck.Chains.
func (h *house) Chain(context.Context, pki.IssuerID) ([][]byte, error) {
	return [][]byte{h.CA.Certificate.Raw, h.Root.Certificate.Raw}, nil
}

func newHouse(t *testing.T, deltas bool, shards int) *house {
	h := &house{T: t, VA: revocationtest.New(t, shards), web: *blob.OpenDirectory(t.TempDir())}
	own := status.New(status.Config{Limiter: (*limit.Limits)(nil), Validator: h.VA, Chains: h, Now: h.Clock.Now, Log: slog.New(slog.DiscardHandler)}).Handler(http.NotFoundHandler())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer := h.answer.Load(); answer != nil {
			(*answer)(w, r)
			return
		}
		own.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	h.CA.Issuer.StatusURL, h.CA.Issuer.Mode, h.CA.Issuer.Deltas = server.URL, pki.Test, deltas
	h.checker = statuscheck.New(statuscheck.Config{
		Store: store{h.Store, h}, Authority: h.VA, Chains: h, Publisher: h, Targets: map[string]statuscheck.Target{"web": h},
		Alarms: h.Alarms, Now: h.Clock.Now, Log: slog.New(slog.DiscardHandler),
		Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	})
	return h
}

// make makes the CRLs that are due and, unless told otherwise, publishes them.
func (h *house) make() {
	h.Helper()
	if _, err := h.PublishDue(h.Context()); err != nil {
		h.Fatal(err)
	}
	for n := range 2 * h.CA.Issuer.Shards {
		list := revocation.List{Issuer: h.CA.Issuer.ID, Shard: n / 2, Delta: n%2 == 1}
		crl, err := h.CRL(h.Context(), list)
		if pki.KindOf(err) == pki.NotFound {
			continue
		}
		if err != nil {
			h.Fatal(err)
		}
		h.put(list.ObjectPath(crl.Number), crl.DER)
		h.put(list.Path(), crl.DER)
	}
	h.putChain()
}

// putChain publishes the issuer's certificates.
func (h *house) putChain() {
	h.Helper()
	chain, _ := h.Chain(h.Context(), h.CA.Issuer.ID)
	for _, form := range revocation.ChainForms() {
		_, body, err := revocation.EncodeChain(form, chain)
		if err != nil {
			h.Fatal(err)
		}
		h.put(revocation.ChainPath(h.CA.Issuer.ID, form), body)
	}
}

func (h *house) put(name string, content []byte) {
	h.Helper()
	_, version, err := h.web.Read(h.Context(), name, 16<<20)
	if err != nil && pki.KindOf(err) != pki.NotFound {
		h.Fatal(err)
	}
	if _, err := h.web.Replace(h.Context(), name, version, content, ""); err != nil {
		h.Fatal(err)
	}
}

func (h *house) get(name string) []byte {
	h.Helper()
	content, _, err := h.web.Read(h.Context(), name, 16<<20)
	if err != nil {
		h.Fatal(err)
	}
	return content
}

func (h *house) revoke() {
	h.Helper()
	g := revocationtest.Permit(h.T, revocationtest.Tenant, access.Revoke)
	if _, err := h.Revoke(h.Context(), g, h.CA.Issuer.ID, h.Issue(), pki.Superseded); err != nil {
		h.Fatal(err)
	}
}

// expect makes a round and compares the alarms, as "name place".
func (h *house) expect(when string, want ...string) {
	h.Helper()
	if err := h.checker.Round(h.Context()); err != nil {
		h.Fatal(err)
	}
	got := []string{}
	for _, a := range h.Alarms.All() {
		_, where, ok := strings.Cut(a.Target, " at the ")
		if !ok {
			where = a.Target
		}
		got = append(got, a.Name+" "+where)
	}
	if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
		h.Errorf("%s (-want +got):\n%s\n%+v", when, diff, h.Alarms.All())
	}
}

// advises reports an error unless what there is to do about an alarm has a text, and
// has not another.
func (h *house) advises(name, has, hasNot string) {
	h.Helper()
	for _, a := range h.Alarms.All() {
		if a.Name == name && (!strings.Contains(a.Do, has) || strings.Contains(a.Do, hasNot)) {
			h.Errorf("%s: %s", name, a.Do)
		}
	}
}

// The places.
const (
	url    = " status URL"
	target = " web"
)

func TestWell(t *testing.T) {
	for _, deltas := range []bool{false, true} {
		h := newHouse(t, deltas, 1)
		h.putChain()
		h.expect("of a new issuer")
		h.Clock.Advance(3 * time.Minute)
		h.expect("before the first CRL", "crl.missing"+url, "crl.missing"+target)
		h.make()
		h.expect("the first CRL")
		for range 3 {
			h.revoke()
			h.make()
			h.Clock.Advance(3 * time.Minute)
			h.expect("revoked")
			h.expect("nothing new")
		}
		if len(h.again) > 0 {
			t.Errorf("repairs of what is well: %v", h.again)
		}
	}
}

// TestStale has the publisher stand still: an alarm comes before half of the life is
// left, and goes by itself.
func TestStale(t *testing.T) {
	h := newHouse(t, false, 1)
	h.make()
	h.Clock.Advance(revocation.DefaultCRLLife*49/100 - revocation.Backdate)
	h.expect("in time")
	h.Clock.Advance(revocation.DefaultCRLLife * 2 / 100)
	h.expect("half is over", "crl.stale"+url, "crl.stale"+target)
	if diff := cmp.Diff([]string{"web crl/issuer/0.crl"}, h.again); diff != "" {
		t.Errorf("repairs (-want +got):\n%s", diff)
	}
	h.make() // the repair had it be due
	h.expect("made anew")
}

// TestIncomplete has a revocation not come into the CRL.
func TestIncomplete(t *testing.T) {
	for _, deltas := range []bool{false, true} {
		h := newHouse(t, deltas, 1)
		h.make()
		h.revoke()
		h.expect("a young revocation")
		h.Clock.Advance(3 * time.Minute)
		h.expect("an old one", "crl.incomplete"+url, "crl.incomplete"+target)
		for _, a := range h.Alarms.All() {
			if !strings.Contains(a.What, " lacks 1 revocation older") {
				t.Error(a.What)
			}
		}
		h.make()
		h.expect("made anew")
	}
}

// TestManyEntries: of a CRL with more entries than are looked for at once, or of one with a
// delta of as many more, all are in turn, wherever one is missing, and the CRLs are read no
// more when all were.
func TestManyEntries(t *testing.T) {
	for _, deltas := range []bool{false, true} {
		h := newHouse(t, deltas, 1)
		const windows = 3
		for range 2 { // the second half is in the delta, where there is one
			for range (windows*statuscheck.Window - statuscheck.Window/2) / 2 {
				h.RevokeElsewhere(t, h.Issue(), pki.Superseded)
			}
			h.Clock.Advance(time.Hour)
			h.make()
		}
		revoked, err := h.Store.Revoked(t.Context(), h.CA.Issuer.ID, 0, 1<<40, h.Clock.Now(), revocation.Span{}, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		lists := []revocation.List{{Issuer: h.CA.Issuer.ID}}
		if deltas {
			lists = append(lists, revocation.List{Issuer: h.CA.Issuer.ID, Delta: true})
		}
		large := func() {
			t.Helper()
			for _, list := range lists {
				if crl, err := h.CRL(t.Context(), list); err != nil || crl.Entries <= statuscheck.Window {
					t.Fatalf("%s has not many entries: %+v, %v", list, crl.Entries, err)
				}
			}
		}
		large()
		read := 0
		own := h.ocsp(nil)
		counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			recorder := httptest.NewRecorder()
			own(recorder, r)
			if strings.HasSuffix(r.URL.Path, ".crl") && recorder.Code == http.StatusOK {
				read++
			}
			maps.Copy(w.Header(), recorder.Header())
			w.WriteHeader(recorder.Code)
			w.Write(recorder.Body.Bytes())
		})
		h.answer.Store(&counted)
		for range windows + 3 {
			h.expect("all are there")
		}
		if want := windows * len(lists); read != want {
			t.Errorf("CRLs were read %d times, want %d", read, want)
		}
		for _, at := range []int{0, 1, len(revoked)/2 - 1, len(revoked) / 2, len(revoked) * 3 / 4, len(revoked) - 1} {
			lost := revoked[at]
			lost.Serial[len(lost.Serial)-1]++ // another one
			h.lost = []pki.Revocation{lost}
			h.revoke() // one more, and another CRL
			h.make()
			h.Clock.Advance(10 * time.Minute)
			found := 0
			for range windows {
				if err := h.checker.Round(t.Context()); err != nil {
					t.Fatal(err)
				}
				found = len(h.Alarms.All())
			}
			if found != 2 {
				t.Errorf("one that is missing near place %d of %d: %d alarms", at, len(revoked), found)
			}
			last := lists[len(lists)-1]
			for _, a := range h.Alarms.All() {
				if a.Name != "crl.shrunken" || !strings.HasPrefix(a.Target, last.Path()) {
					t.Errorf("one that is missing near place %d of %d: %+v", at, len(revoked), a)
				}
			}
			h.expect("it stays", "crl.shrunken"+url, "crl.shrunken"+target)
			h.lost = nil
			h.make() // what was asked for is due
			h.expect("it is there")
			large()
		}
	}
}

// TestSamples: OCSP is asked about certificates of all the time that an issuer has
// been at work, not of its beginning alone.
func TestSamples(t *testing.T) {
	begun := time.Now().AddDate(-1, 0, 0)
	var all []pki.Serial
	for day := range 365 {
		all = append(all, pki.NewSerial(pki.SerialLong, begun.AddDate(0, 0, day)))
	}
	seen := make(map[pki.Serial]bool)
	for range 200 {
		got, err := statuscheck.Near(statuscheck.SomeSerials(begun, begun.AddDate(1, 0, 0)), func(from pki.Serial) ([]pki.Serial, error) {
			at, _ := slices.BinarySearchFunc(all, from, func(a, b pki.Serial) int { return bytes.Compare(a[:], b[:]) })
			return all[min(at, len(all)-1):][:1], nil
		})
		if err != nil {
			t.Fatal(err)
		}
		seen[got[0]] = true
	}
	if len(seen) < 100 { // of 154 on the average
		t.Errorf("200 looks saw %d certificates of %d", len(seen), len(all))
	}
}

// TestShrunken has a CRL go back to a lower number.
func TestShrunken(t *testing.T) {
	h := newHouse(t, false, 1)
	h.make()
	first := h.get("crl/issuer/0.crl")
	h.revoke()
	h.make()
	second := h.get("crl/issuer/0.crl")
	h.Clock.Advance(3 * time.Minute)
	h.expect("well")
	h.put("crl/issuer/0.crl", first)
	h.expect("back to the first", "crl.shrunken"+target)
	h.put("crl/issuer/0.crl", second)
	h.expect("well again")
}

// TestPutBack has somebody put an earlier CRL back that lacks nothing and that the
// checker has not seen the next one of, as after a start: where a hold was released, or
// for the next revocation.
func TestPutBack(t *testing.T) {
	for _, deltas := range []bool{false, true} {
		h := newHouse(t, deltas, 1)
		serial := h.Issue()
		g := revocationtest.Permit(t, revocationtest.Tenant, access.Revoke)
		if _, err := h.Revoke(t.Context(), g, h.CA.Issuer.ID, serial, pki.CertificateHold); err != nil {
			t.Fatal(err)
		}
		h.make()
		name := "crl/issuer/0.crl"
		if deltas {
			name = "crl/issuer/0-delta.crl"
		}
		held := h.get(name)
		if _, err := h.Release(t.Context(), g, h.CA.Issuer.ID, serial); err != nil {
			t.Fatal(err)
		}
		h.Clock.Advance(3 * time.Minute)
		h.make()
		h.put(name, held)
		h.expect("it may not be published yet")
		h.Clock.Advance(3 * time.Minute)
		h.expect("the one with the hold", "crl.stale"+target)
		h.expect("again", "crl.stale"+target)
		if diff := cmp.Diff([]string{"web " + name, "web " + name}, h.again); diff != "" {
			t.Errorf("repairs (-want +got):\n%s", diff)
		}
		h.make() // what was asked for is due
		h.expect("made anew")
	}
}

// TestLost has a publisher make a CRL without what was revoked before.
func TestLost(t *testing.T) {
	h := newHouse(t, false, 1)
	h.revoke()
	h.make()
	h.Clock.Advance(10 * time.Minute)
	h.expect("well")
	h.Store.Hide(true)
	h.Clock.Advance(revocation.DefaultCRLLife) // when it is made of nothing but the entries again
	h.make()
	h.Store.Hide(false)
	h.expect("a CRL without it", "crl.shrunken"+url, "crl.shrunken"+target)
	h.expect("the same CRL", "crl.shrunken"+url, "crl.shrunken"+target)
}

// TestOlderStore: what is published has a revocation that the store lost. It is taken
// over, and stays an alarm.
func TestOlderStore(t *testing.T) {
	h := newHouse(t, false, 1)
	h.make()
	backup := h.Store.Backup()
	h.revoke()
	h.make()
	h.Store, h.Service = backup, h.Over(backup)
	h.checker = statuscheck.New(statuscheck.Config{
		Store: store{backup, h}, Authority: h.Service, Chains: h, Publisher: h, Targets: map[string]statuscheck.Target{"web": h},
		Alarms: h.Alarms, Now: h.Clock.Now, Log: slog.New(slog.DiscardHandler),
		Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	busy := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	h.answer.Store(&busy) // what is published is at the target alone
	h.expect("a store from a backup", "crl.recovered crl/issuer/0.crl", "status.unreachable"+url)
	h.make()
	revoked, err := backup.Revoked(t.Context(), h.CA.Issuer.ID, 0, 1<<40, h.Clock.Now(), revocation.Span{}, 10)
	if err != nil || len(revoked) != 1 {
		t.Errorf("%d revocations, %v", len(revoked), err)
	}
	h.Clock.Advance(3 * time.Minute)
	h.expect("it goes on", "crl.recovered crl/issuer/0.crl", "status.unreachable"+url)
}

// TestWrong has other things stand where the CRL should.
func TestWrong(t *testing.T) {
	h := newHouse(t, false, 1)
	h.make()
	good := h.get("crl/issuer/0.crl")
	other := newHouse(t, false, 1)
	other.make()
	damaged := bytes.Clone(good)
	damaged[len(damaged)-1]++
	for what, content := range map[string][]byte{
		"a page": []byte("<html>"), "a damaged one": damaged, "a cut one": good[:len(good)/2], "none": {},
		"a long one": make([]byte, 1<<20), "that of another issuer": other.get("crl/issuer/0.crl"),
	} {
		h.put("crl/issuer/0.crl", content)
		h.expect(what, "crl.wrong"+target)
		h.put("crl/issuer/0.crl", good)
		h.expect("the CRL again")
	}
	if err := h.web.Remove(t.Context(), "crl/issuer/0.crl"); err != nil {
		t.Fatal(err)
	}
	h.expect("nothing", "crl.wrong"+target)
	h.advises("crl.wrong", "The target is looked at again by itself", "'pando crl check' asks again")
	if err := os.Mkdir(filepath.Join(h.web.String(), "crl/issuer/0.crl"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.expect("a directory", "crl.wrong"+target)
	if err := h.web.Remove(t.Context(), "crl/issuer/0.crl"); err != nil {
		t.Fatal(err)
	}
	h.put("crl/issuer/0.crl", good)
	h.expect("the CRL again")

	endless := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/ocsp/") {
			h.ocsp(nil)(w, r)
			return
		}
		for part := make([]byte, 1<<20); ; {
			if _, err := w.Write(part); err != nil {
				return
			}
		}
	})
	h.answer.Store(&endless)
	h.expect("an endless body", "ca.wrong"+url, "crl.wrong"+url)
	h.advises("crl.wrong", "'pando crl check' asks again", "The target")
	h.answer.Store(nil)
	h.expect("the CRL again")

	gone := http.HandlerFunc(http.NotFound)
	h.answer.Store(&gone)
	h.expect("404", "ca.wrong"+url, "crl.wrong"+url, "ocsp.wrong issuer:issuer")
	h.answer.Store(nil)
	h.expect("well again")
}

// TestUnreachable: that this host cannot fetch is another alarm than a wrong answer.
func TestUnreachable(t *testing.T) {
	h := newHouse(t, false, 1)
	h.make()
	h.expect("well")
	busy := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	h.answer.Store(&busy)
	h.expect("502", "status.unreachable"+url)
	h.advises("status.unreachable", "status.check_networks", "directory or bucket")
	h.answer.Store(nil)
	h.expect("well again")

	away := h.web.String() + ".away"
	if err := os.Rename(h.web.String(), away); err != nil {
		t.Fatal(err)
	}
	h.expect("no directory", "status.unreachable"+target)
	h.advises("status.unreachable", "The directory or bucket that status.publish", "relying parties")
	if err := os.Rename(away, h.web.String()); err != nil {
		t.Fatal(err)
	}
	h.expect("well again")

	h.CA.Issuer.Mode = pki.Production // for which nothing is asked on loopback
	h.expect("loopback", "status.unreachable"+url)
	h.CA.Issuer.Mode = pki.Test
	h.expect("well again")
	elsewhere := statuscheck.New(statuscheck.Config{
		Store: store{h.Store, h}, Authority: h.VA, Chains: h, Publisher: h, Alarms: h.Alarms, Now: h.Clock.Now, Log: slog.New(slog.DiscardHandler)})
	h.checker = elsewhere
	h.expect("loopback, which the operator does not list", "status.unreachable"+url)
}

// TestOCSPWrong has a responder say what is not so.
func TestOCSPWrong(t *testing.T) {
	h := newHouse(t, false, 1)
	h.revoke()
	h.make()
	h.expect("well")
	for what, answer := range map[string]http.HandlerFunc{
		"no OCSP":  func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("hello")) },
		"tryLater": func(w http.ResponseWriter, r *http.Request) { w.Write([]byte{0x30, 3, 0x0a, 1, 3}) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		},
	} {
		only := h.ocsp(answer)
		h.answer.Store(&only)
		h.expect(what, "ocsp.wrong issuer:issuer")
		h.answer.Store(nil)
		h.expect("well again")
	}

	// Another responder of the issuer that knows of no revocation.
	h = newHouse(t, false, 1)
	h.sampled = h.Issue()
	before := h.Over(h.Store.Backup())
	g := revocationtest.Permit(t, revocationtest.Tenant, access.Revoke)
	if _, err := h.Revoke(t.Context(), g, h.CA.Issuer.ID, h.sampled, pki.Superseded); err != nil {
		t.Fatal(err)
	}
	h.make()
	lying := status.New(status.Config{Limiter: (*limit.Limits)(nil), Validator: before, Chains: h, Now: h.Clock.Now, Log: slog.New(slog.DiscardHandler)}).Handler(http.NotFoundHandler())
	only := h.ocsp(lying.ServeHTTP)
	h.answer.Store(&only)
	h.expect("it need not know yet")
	h.Clock.Advance(3 * time.Minute)
	h.expect("another responder", "ocsp.wrong issuer:issuer")
}

// ocsp answers OCSP as told, and everything else as the VA does.
func (h *house) ocsp(answer http.HandlerFunc) http.HandlerFunc {
	own := status.New(status.Config{Limiter: (*limit.Limits)(nil), Validator: h.VA, Chains: h, Now: h.Clock.Now, Log: slog.New(slog.DiscardHandler)}).Handler(http.NotFoundHandler())
	return func(w http.ResponseWriter, r *http.Request) {
		if answer != nil && strings.HasPrefix(r.URL.Path, "/ocsp/") {
			answer(w, r)
			return
		}
		own.ServeHTTP(w, r)
	}
}
