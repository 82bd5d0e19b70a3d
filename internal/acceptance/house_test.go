//go:build system

package acceptance

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/quickstart"
)

// A house is a quickstart's directory, with a server that is started and ended
// again and again.
type house struct {
	dir    string
	log    string // of all servers
	listen []string
	file   *quickstart.File
	server *process
}

// newHouse plays the story with so many meters, on free ports that it keeps.
func newHouse(t *testing.T, meters int) *house {
	t.Helper()
	h := prepareHouse(t)
	args := append([]string{"quickstart", "--exit", "--data", h.dir, "--batch", strconv.Itoa(meters)}, h.listen...)
	if out := pando(t, args...); out.status != 0 {
		t.Fatalf("quickstart: exit status %d\n%s", out.status, out.stderr)
	}
	h.read(t)
	return h
}

// prepareHouse chooses where a house will be.
func prepareHouse(t *testing.T) *house {
	t.Helper()
	dir := t.TempDir()
	h := &house{dir: filepath.Join(dir, "story"), log: filepath.Join(dir, "server.log")}
	h.listen = listenFlags(t)
	t.Cleanup(func() {
		if text, err := os.ReadFile(h.log); err == nil && t.Failed() {
			t.Logf("the server's log ends with:\n%s", text[max(0, len(text)-8000):])
		}
	})
	return h
}

// listenFlags returns the flags that give each listener a loopback address with a
// port that nobody listens on. The ports are below those that the kernel gives to
// outgoing connections, one of which could otherwise take one while a server
// restarts.
func listenFlags(t *testing.T) []string {
	t.Helper()
	var flags []string
	for _, name := range []string{"--https", "--devices", "--http", "--ops"} {
		l := listen(t)
		defer l.Close() // not before all are chosen
		flags = append(flags, name, l.Addr().String())
	}
	return flags
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	for range 100 {
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+rand.IntN(12000)))); err == nil {
			return l
		}
	}
	t.Fatal("no free port")
	return nil
}

// read reads quickstart.json.
func (h *house) read(t *testing.T) {
	t.Helper()
	var err error
	if h.file, err = quickstart.Read(h.dir); err != nil {
		t.Fatal(err)
	}
}

func (h *house) data() string { return filepath.Join(h.dir, quickstart.ServerDir) }

// begin starts "pando serve" and does not wait for it. Words before it, as those
// of strace, start it.
func (h *house) begin(t *testing.T, before ...string) {
	t.Helper()
	args := append(before, os.Getenv(binaryVariable), "serve", "--data", h.data())
	h.server = start(t, h.log, args[0], args[1:]...)
}

// serve starts "pando serve" and waits until it is ready and a client's first
// request is answered.
func (h *house) serve(t *testing.T, before ...string) {
	t.Helper()
	h.begin(t, before...)
	h.ready(t)
	err := insist(t.Context(), func() error {
		_, err := h.as(t, "").WhoAmI(t.Context())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// ready waits until the server is ready and returns how long that took since its
// start.
func (h *house) ready(t *testing.T) time.Duration {
	t.Helper()
	for {
		if h.isReady() {
			return time.Since(h.server.started)
		}
		select {
		case <-h.server.ended:
			t.Fatalf("the server ended: %s", h.server.cmd.ProcessState)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Since(h.server.started) > late {
			t.Fatalf("the server is not ready after %s", late)
		}
	}
}

func (h *house) isReady() bool {
	resp, err := http.Get(h.file.Ops + "/readyz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// stop ends the server with SIGTERM, which must end in exit status 0.
func (h *house) stop(t *testing.T) {
	t.Helper()
	if status := h.server.stop(t); status != 0 {
		t.Errorf("after SIGTERM the server's exit status is %d, want 0", status)
	}
}

// as returns a client with a token; "" is that of the tenant's administrator.
func (h *house) as(t *testing.T, token string) *client.Client {
	t.Helper()
	if token == "" {
		token = h.file.Token.Reveal()
	}
	c, err := client.New(client.Config{Server: h.file.API, Token: client.TokenOf(token), CAFile: h.file.TLSCA})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// operator returns the token of the platform operator.
func (h *house) operator(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(h.data(), "operator.token"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// check runs "pando check" on the stopped server's data with what clients were
// told they got, "" for no list. Every invariant must hold.
func (h *house) check(t *testing.T, acknowledged string) *check.Report {
	t.Helper()
	args := []string{"check", "--json", "--data", h.data()}
	if acknowledged != "" {
		args = append(args, "--acknowledged", acknowledged)
	}
	out := pando(t, args...)
	r := new(check.Report)
	if err := json.Unmarshal([]byte(out.stdout), r); err != nil {
		t.Fatalf("pando check: exit status %d: %v\n%s", out.status, err, out.stderr)
	}
	for _, f := range r.Findings {
		t.Errorf("pando check: %s", f)
	}
	if out.status != 0 || r.OpenIntents != 0 {
		t.Errorf("pando check: exit status %d, %d open intents", out.status, r.OpenIntents)
	}
	return r
}

// fetch GETs a URL that must answer 200.
func fetch(t *testing.T, url string) []byte {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v", url, resp.Status, err)
	}
	return body
}
