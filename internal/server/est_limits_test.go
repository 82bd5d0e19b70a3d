package server

import (
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/trust"
)

// comesFrom is the header by which a client of these tests says where it comes from: the
// addresses of this machine are not limited by source.
const comesFrom = "Test-From"

// A narrowPlace is a server with small limits, whose clock stands, and whose CA keys sign
// while its gate is open.
type narrowPlace struct {
	t      *testing.T
	s      *Server
	st     *stack.Stack
	clock  *pandotest.Clock
	gate   sync.Mutex // held while it is shut
	tokens map[pki.TenantID]string
}

func newNarrowPlace(t *testing.T, limit func(*Limits), tenants ...pki.TenantID) *narrowPlace {
	t.Helper()
	p := &narrowPlace{t: t, clock: pandotest.NewClock(pandotest.Now()), tokens: make(map[pki.TenantID]string)}
	module := &slowModule{wanted: make(chan chan struct{}, 1<<10)}
	t.Cleanup(func() { close(module.wanted) }) // when the server is closed
	go func() {
		for done := range module.wanted {
			p.gate.Lock()
			close(done)
			p.gate.Unlock()
		}
	}()
	cfg := newConfig(t)
	limit(&cfg.Limits)
	p.s = openOn(t, cfg, machine{now: p.clock.Now, keys: func(of keystore.Provider) keystore.Provider { return slowKeys{of, module} }})
	for _, w := range p.s.listeners.ways {
		inner := w.server.Handler
		w.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if from := r.Header.Get(comesFrom); from != "" {
				r.RemoteAddr = from
			}
			inner.ServeHTTP(w, r)
		})
	}
	run(t, p.s)
	p.st = furnish(t, p.s, tenants[0], "device")
	for i, tenant := range tenants {
		if i > 0 {
			p.st.AddTenant(t, tenant, "device")
		}
		takesEST(t, p.s, p.st, tenant, "device")
		_, secret, err := p.s.tokens.Create(t.Context(), p.st.Permit(t, tenant, access.ManageTokens), access.NewToken{Name: "ra", Role: access.RAOperator})
		if err != nil {
			t.Fatal(err)
		}
		p.tokens[tenant] = "Bearer " + secret.Reveal()
	}
	return p
}

// An asking is one device's request, which it can send again.
type asking struct {
	caller
	tenant  pki.TenantID
	request []byte
	headers []string
}

// device returns the request of a device without a certificate, by the tenant's token.
func (p *narrowPlace) device(tenant pki.TenantID, name string) asking {
	p.t.Helper()
	csr := pandotest.CSR(p.t, pandotest.Key(p.t, pki.P256), pkix.Name{CommonName: name})
	return asking{caller{t: p.t, s: p.s, roots: bootstrapOf(p.t, p.s)}, tenant, []byte(base64.StdEncoding.EncodeToString(csr)), []string{"Authorization", p.tokens[tenant]}}
}

// An answered is what became of a request.
type answered struct {
	asking
	status int
	text   string
	after  int // Retry-After, in seconds; 0 for none
}

func (a asking) send() answered {
	a.t.Helper()
	answer := a.est("POST", estPath(string(a.tenant)+".device", "simpleenroll"), a.request, a.headers...)
	text, _ := io.ReadAll(answer.Body) // of a buffer
	after, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
	return answered{a, answer.StatusCode, string(text), after}
}

// atOnce sends requests over a TLS connection each, and returns a channel of the answers.
func atOnce(all ...asking) <-chan answered {
	answers := make(chan answered, len(all))
	for _, a := range all {
		go func() { answers <- a.send() }()
	}
	return answers
}

// take returns so many answers, by their status.
func take(answers <-chan answered, n int) map[int][]answered {
	by := make(map[int][]answered)
	for range n {
		a := <-answers
		by[a.status] = append(by[a.status], a)
	}
	return by
}

// want reports other numbers of answers by their status, and refusals that do not say when
// to come again.
func (p *narrowPlace) want(what string, got map[int][]answered, want map[int]int) {
	p.t.Helper()
	counts := make(map[int]int)
	for status, all := range got {
		counts[status] = len(all)
		for _, a := range all {
			if again := status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable; again != (a.after > 0) {
				p.t.Errorf("%s: %d with Retry-After %d: %s", what, status, a.after, a.text)
			}
		}
	}
	if !maps.Equal(counts, want) {
		p.t.Errorf("%s: answers by status %v, want %v", what, counts, want)
	}
}

// TestESTPlaces: parallel clients of three tenants have the places that these may have; one
// more of each is told that its tenant has all that it may, and one of a fourth that the
// server has. Who was in gets a certificate, who was refused does when it comes again, and
// each gets one.
func TestESTPlaces(t *testing.T) {
	tenants := []pki.TenantID{"acme", "globex", "initech", "umbrella"}
	p := newNarrowPlace(t, func(l *Limits) { l.Requests = 64 }, tenants...)
	var all []asking
	for _, tenant := range tenants[:3] {
		for i := range 20 { // of which a quarter of all places is 16
			all = append(all, p.device(tenant, fmt.Sprintf("device-%d", i)))
		}
	}
	late := p.device("umbrella", "late")
	before := certificatesStored(t, p.s)
	p.gate.Lock()
	answers := atOnce(all...)
	refused := take(answers, 12)
	other := late.send()
	p.gate.Unlock()
	p.want("of those that were too many", refused, map[int]int{http.StatusTooManyRequests: 12})
	p.want("of another tenant", map[int][]answered{other.status: {other}}, map[int]int{http.StatusServiceUnavailable: 1})
	p.want("of those that were in", take(answers, 48), map[int]int{http.StatusOK: 48})
	again := []asking{late}
	for _, a := range refused[http.StatusTooManyRequests] {
		again = append(again, a.asking)
	}
	p.want("of those that came again", take(atOnce(again...), 13), map[int]int{http.StatusOK: 13})
	for some := range slices.Chunk(all, 16) {
		p.want("of those that lost their answer", take(atOnce(some...), len(some)), map[int]int{http.StatusOK: len(some)})
	}
	if now := certificatesStored(t, p.s); now != before+61 {
		t.Errorf("%d certificates are there, %d were, and 61 devices asked", now, before)
	}
}

// TestESTRates: a device that asks too often, from parallel connections, is told to come
// again and named, while others enrol; a source that guesses is told so, and not looked at
// any more, while whoever has proved who they are goes on from there.
func TestESTRates(t *testing.T) {
	p := newNarrowPlace(t, func(l *Limits) { l.Device, l.Failures = Rate{1, 3}, Rate{1, 4} }, "acme")
	caller{t: t, s: p.s}.trust("acme", trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "device"}}})
	known := func(name string) func() asking {
		own := pandotest.Key(t, pki.P256)
		first := p.device("acme", name)
		first.request = []byte(base64.StdEncoding.EncodeToString(pandotest.CSR(t, own, pkix.Name{CommonName: name})))
		chain := [][]byte{certificates(t, first.est("POST", estPath("acme.device", "simpleenroll"), first.request, first.headers...))[0].Raw}
		return func() asking {
			a := p.device("acme", name)
			a.key, a.chain, a.headers = own, chain, nil
			return a
		}
	}
	busy, quiet := known("busy"), known("quiet")
	from := func(a asking, source string, headers ...string) asking {
		a.headers = append(append(a.headers[:len(a.headers):len(a.headers)], headers...), comesFrom, source)
		return a
	}
	before := certificatesStored(t, p.s)

	all := []asking{quiet(), quiet()}
	for range 22 {
		all = append(all, busy())
	}
	got := take(atOnce(all...), 24)
	p.want("of a busy device and a quiet one", got, map[int]int{http.StatusOK: 5, http.StatusTooManyRequests: 19})
	for _, a := range got[http.StatusTooManyRequests] {
		if !strings.Contains(a.text, "device busy") {
			t.Errorf("refused: %s", a.text)
		}
	}
	p.clock.Advance(time.Second)
	p.want("of the busy device, later", take(atOnce(busy(), busy()), 2), map[int]int{http.StatusOK: 1, http.StatusTooManyRequests: 1})

	const here, elsewhere = "198.51.100.7:1000", "198.51.100.8:1000"
	guess := func(source string) asking {
		a := p.device("acme", "guessed")
		a.headers = nil
		return from(a, source, "Authorization", "Basic "+base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "guessed:%p", &a)))
	}
	all = []asking{from(p.device("acme", "plant-1"), here), from(p.device("acme", "plant-2"), here)} // by a token that proved somebody
	for range 22 {
		all = append(all, guess(here))
	}
	p.want("of a source that guesses", take(atOnce(all...), 24), map[int]int{http.StatusOK: 2, http.StatusUnauthorized: 4, http.StatusTooManyRequests: 18})
	_, secret, err := p.s.secrets.Create(t.Context(), p.st.Permit(t, "acme", access.ManageSecrets), enrolauth.NewSecret{Endpoint: "device", Device: "new"})
	if err != nil {
		t.Fatal(err)
	}
	fresh := p.device("acme", "new")
	fresh.headers = []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("new:"+secret.Reveal()))}
	p.want("of a good one that is new there", take(atOnce(from(fresh, here)), 1), map[int]int{http.StatusTooManyRequests: 1})
	p.want("of a good one from elsewhere, and of a guess", take(atOnce(from(fresh, elsewhere), guess(elsewhere)), 2), map[int]int{http.StatusOK: 1, http.StatusUnauthorized: 1})
	if now := certificatesStored(t, p.s); now != before+9 {
		t.Errorf("%d certificates are there, %d were, and 9 were issued", now, before)
	}
}
