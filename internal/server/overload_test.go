package server

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
)

// A slowModule makes the keys of authorities as slow as a small hardware module: all
// together sign once in each of its slots, whoever asks for it. It counts the slots, so
// that what was issued can be held against what could have been, however fast time went.
type slowModule struct {
	wanted chan chan struct{}
	slot   atomic.Int64 // a time.Duration
	slots  atomic.Int64
}

func newSlowModule(t *testing.T, slot time.Duration) *slowModule {
	m := &slowModule{wanted: make(chan chan struct{}, 1<<20)}
	m.slot.Store(int64(slot))
	go func() {
		for ; t.Context().Err() == nil; time.Sleep(time.Duration(m.slot.Load())) {
			m.slots.Add(1)
			select {
			case done := <-m.wanted:
				close(done)
			default: // nobody wants it: the slot is lost
			}
		}
	}()
	return m
}

// slowKeys is a provider whose CA keys are in the module.
type slowKeys struct {
	keystore.Provider
	module *slowModule
}

func (p slowKeys) Open(ctx context.Context, uri pki.KeyURI) (*keystore.Key, error) {
	key, err := p.Provider.Open(ctx, uri)
	if err != nil || key.Use != keystore.UseCA {
		return key, err
	}
	slow := *key
	slow.Signer = slowSigner{key.Signer, p.module}
	return &slow, nil
}

type slowSigner struct {
	crypto.Signer
	module *slowModule
}

func (s slowSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	done := make(chan struct{})
	s.module.wanted <- done
	<-done
	return s.Signer.Sign(random, digest, opts)
}

// TestOverloadOpenLoop offers ten times what a server can issue for a minute, as an
// open loop: requests come by a schedule that waits for no answer, each from a device of
// its own, and by chance those of several slots come at once. At least nine of ten signatures that could be made in that time must reach a
// client, everybody else must get 429 or 503 (429 here: there is one tenant, and its
// share is full before all is), and memory must stay bounded.
//
// What is narrow is the CA's key, of which a signature takes 40 ms here: so ten times the
// capacity, 250 requests a second, is a rate that the two cores of a small machine can
// send, receive and refuse. The short run, which the race detector makes slow, has 100 ms,
// and a machine that is busy with other things as much as it needs. It shows that the bound
// on what is under way keeps the key busy and everything else refused. It does not show what happens where the cores are what
// is narrow, since the clients are on the same ones; see TestOverload of
// internal/acceptance, whose clients wait when they are told to.
func TestOverloadOpenLoop(t *testing.T) {
	const times = 10
	length, slot := time.Minute, 40*time.Millisecond // a signature takes a slot
	if testing.Short() {
		length, slot = 15*time.Second, 100*time.Millisecond
	}
	random := pandotest.Seeded(t)
	module := newSlowModule(t, slot)
	cfg := newConfig(t)
	cfg.TLS.Endpoint = ""
	cfg.Limits.Requests = 128 // a tenant has a quarter: 32 wait for the key, for a second or three
	s := openOn(t, cfg, machine{now: time.Now, keys: func(p keystore.Provider) keystore.Provider { return slowKeys{p, module} }})
	stop := run(t, s)
	crowd := newCrowd(t, s, furnish(t, s, "acme", "device"))

	slot = max(slot, min(3*times*crowd.pace(t), 500*time.Millisecond))
	module.slot.Store(int64(slot))
	memory := memoryPeak(t)
	offer := func(d time.Duration) (slots int64) {
		begun := module.slots.Load()
		tick, sent := time.NewTicker(slot), int64(0)
		defer tick.Stop()
		for end := time.Now().Add(d); time.Now().Before(end); <-tick.C {
			if random.IntN(2) == 0 { // with the next ones: as many wait as may, and keep the key busy
				continue
			}
			// By the slots that went by: it is ten times the capacity, whatever the pace.
			for slots = module.slots.Load() - begun; sent < times*slots; sent++ {
				crowd.enrol(t)
			}
		}
		return module.slots.Load() - begun
	}
	slots := int64(0)
	for round := 1; ; round++ { // one that another process disturbed is made again
		offer(length / 10) // until as many wait as may
		before := crowd.answers(http.StatusCreated)
		could := offer(length)
		issued := crowd.answers(http.StatusCreated) - before
		crowd.wait()
		slots += could
		t.Logf("%d signatures, one in %s, could be made: %d issued, %.1f %%; answers %v; %d MiB at most",
			could, slot, issued, 100*float64(issued)/float64(could), crowd.all(), memory()>>20)
		if float64(issued) >= 0.9*float64(could) {
			break
		}
		if round == 3 {
			t.Errorf("%d certificates of %d that could be issued came through", issued, could)
			break
		}
	}
	for status, n := range crowd.all() {
		switch status {
		case http.StatusCreated, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		default:
			t.Errorf("%d answers with status %d", n, status)
		}
	}
	if refused := crowd.answers(http.StatusTooManyRequests) + crowd.answers(http.StatusServiceUnavailable); refused < 5*slots {
		t.Errorf("%d were told to come again, of nine times %d", refused, slots)
	}
	if peak := memory(); peak > 256<<20 { // the clients' too
		t.Errorf("%d MiB of memory", peak>>20)
	}
	if r := checkStopped(t, s, stop); r.Certificates < crowd.answers(http.StatusCreated) {
		t.Errorf("%d certificates in the store, %d were given out", r.Certificates, crowd.answers(http.StatusCreated))
	}
}

// A crowd is devices that ask once.
type crowd struct {
	client *http.Client
	url    string
	token  string
	sent   int
	asking sync.WaitGroup

	mu     sync.Mutex
	counts map[int]int64 // by status; 0 is no answer
}

func newCrowd(t *testing.T, s *Server, st *stack.Stack) *crowd {
	t.Helper()
	_, secret, err := s.tokens.Create(t.Context(), st.Permit(t, "acme", access.ManageTokens), access.NewToken{Name: "devices", Role: access.FactoryOperator})
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: bootstrapOf(t, s)}, MaxIdleConnsPerHost: 1024}
	t.Cleanup(transport.CloseIdleConnections)
	return &crowd{client: &http.Client{Transport: transport, Timeout: time.Minute}, url: s.URL("https") + "/api/v1/enrollments", token: secret.Reveal(), counts: make(map[int]int64)}
}

// pace returns how long this machine needs now to send a request, and to receive and refuse
// it, from the times of many that come at once.
func (c *crowd) pace(t *testing.T) time.Duration {
	t.Helper()
	const at, each = 16, 16
	begun := time.Now()
	var asking sync.WaitGroup
	for range at {
		asking.Go(func() {
			for range each {
				csr := pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{CommonName: "device"})
				if status := c.post(t, csr); status != http.StatusBadRequest && status != http.StatusTooManyRequests { // it is no JSON
					t.Errorf("a request that is none is answered %d", status)
				}
			}
		})
	}
	asking.Wait()
	return time.Since(begun) / (at * each)
}

// enrol sends the request of one device and does not wait for the answer.
func (c *crowd) enrol(t *testing.T) {
	c.sent++
	name := fmt.Sprintf("device-%d", c.sent)
	c.asking.Go(func() {
		csr := pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{CommonName: name})
		body, err := json.Marshal(map[string]string{"endpoint": "device", "csr": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}))})
		if err != nil {
			t.Error(err)
			return
		}
		status := c.post(t, body)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.counts[status]++
	})
}

func (c *crowd) post(t *testing.T, body []byte) (status int) {
	r, err := http.NewRequest(http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return 0
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := c.client.Do(r)
	if err != nil {
		t.Errorf("no answer: %v", err)
		return 0
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return 0
	}
	return answer.StatusCode
}

func (c *crowd) wait() { c.asking.Wait() }

func (c *crowd) answers(status int) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts[status]
}

func (c *crowd) all() map[int]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make(map[int]int64, len(c.counts))
	for status, n := range c.counts {
		all[status] = n
	}
	return all
}

// memoryPeak looks at the heap each second and returns a function that says the most
// that it was.
func memoryPeak(t *testing.T) func() uint64 {
	var peak atomic.Uint64
	go func() {
		for tick := time.NewTicker(time.Second); t.Context().Err() == nil; <-tick.C {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak.Store(max(peak.Load(), m.HeapInuse+m.StackInuse))
		}
	}()
	return peak.Load
}
