package restapi

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/trust"
)

// takenWithin is how long what was taken away may hold on other nodes, streams under
// way included.
const takenWithin = 5 * time.Second

// A node is the API for tokens and the one for client certificates, with a memory of
// its own of who may do what.
type node struct{ tokens, certificates http.Handler }

func newNode(s *stack.Stack, tokens *access.Tokens, anchors *trust.Service) node {
	cfg := Config{Tokens: tokens, Trust: anchors, Secrets: s.Secrets, Visits: s.Visits, Hierarchy: s.Hierarchy, Enroll: s.Enroll, Batch: s.Batch, Registry: s.Registry, Trace: s.Trace, LotReports: s.LotReports,
		Access: s.Office, Revocation: s.Revocation, Status: s.Store, Version: "test", Now: s.Now, Logger: slog.New(slog.DiscardHandler)}
	n := node{tokens: New(cfg)}
	cfg.Certificates = true
	n.certificates = New(cfg)
	return n
}

// A proof is what somebody proves with who they are.
type proof struct {
	token string
	chain []*x509.Certificate // in place of a token
}

// begin asks a node, without waiting for the answer.
func (n node) begin(p proof, method, path, media string, body io.Reader) *underWay {
	r := httptest.NewRequest(method, "/api/v1"+path, body)
	r.Header.Set("Content-Type", media)
	h := n.tokens
	if p.chain != nil {
		r.TLS, h = &tls.ConnectionState{PeerCertificates: p.chain}, n.certificates
	} else {
		r.Header.Set("Authorization", "Bearer "+p.token)
	}
	a := &underWay{ResponseRecorder: httptest.NewRecorder(), ended: make(chan struct{})}
	go func() {
		defer close(a.ended)
		defer func() {
			if why := recover(); why != nil && why != http.ErrAbortHandler {
				panic(why)
			} else if why != nil {
				a.cut = true
			}
		}()
		h.ServeHTTP(a, r)
	}()
	return a
}

func (n node) ask(p proof, method, path, body string) (int, string) {
	a := n.begin(p, method, path, mediaJSON, strings.NewReader(body))
	<-a.ended
	return a.Code, a.Body.String()
}

// underWay is an answer that is being made.
type underWay struct {
	*httptest.ResponseRecorder
	ended chan struct{}
	cut   bool // read after ended
}

func (a *underWay) over() bool {
	synctest.Wait()
	select {
	case <-a.ended:
		return true
	default:
		return false
	}
}

// TestTakenAway: a grant that is removed, and a permission that is taken from an own
// role, end for a token and for those whom a trusted authority certifies: at once on
// the node that took it, on another one at the next request after what it remembers,
// and within five seconds in streams under way.
func TestTakenAway(t *testing.T) {
	for name, take := range map[string]func(t *testing.T, ask func(method, path, body string)){
		"grants": func(t *testing.T, ask func(method, path, body string)) {
			ask("DELETE", "/grants/token", "")
			ask("DELETE", "/grants/anchor", "")
		},
		"permission": func(t *testing.T, ask func(method, path, body string)) {
			ask("PUT", "/roles/shift", string(must(json.Marshal(client.RoleChange{Permissions: []string{"certificates.read"}}))(t)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testTakenAway(t, take) })
		})
	}
}

func testTakenAway(t *testing.T, take func(t *testing.T, ask func(method, path, body string))) {
	s := stack.New(t, stack.Config{})
	s.AddTenant(t, "demo", "meter")
	here, there := newNode(s, s.Tokens, s.Trust), newNode(s, access.NewTokens(s.Store, time.Now), trust.New(trust.Config{Store: s.Store, Directory: s.Hierarchy, Gate: s.Approvals, Now: time.Now}))

	must(s.Office.CreateRole(t.Context(), s.Permit(t, "demo", access.ManageAccess), access.OwnRole{Name: "shift", Permissions: []access.Permission{access.ManageBatches, access.ReadBatches}}))(t)
	dial := func(role access.Role) (*access.Token, proof) {
		token, secret, err := s.Tokens.Create(t.Context(), s.Permit(t, "demo", access.ManageTokens), access.NewToken{Name: "x", Role: role})
		if err != nil {
			t.Fatal(err)
		}
		return token, proof{token: secret.Reveal()}
	}
	token, byToken := dial("shift")
	_, admin := dial(access.TenantAdministrator)
	anchor := must(s.Trust.Add(t.Context(), s.Permit(t, "demo", access.ManageTrust), trust.NewAnchor{Name: "shifts", Authority: "issuing", Role: "shift"}))(t)
	got := must(s.Enroll.Enroll(t.Context(), enroll.Request{Grant: s.Permit(t, "demo", access.Enroll), Endpoint: "meter", Protocol: pki.ProtocolREST,
		Subject: enroll.Subject{CSR: pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: "SM-1"})}}))(t)
	var byCertificate proof
	for _, der := range append([][]byte{got.Certificate.DER}, got.Chain...) {
		byCertificate.chain = append(byCertificate.chain, pandotest.Parse(t, der))
	}
	proofs := map[string]proof{"token": byToken, "certificate": byCertificate}

	upload := func(p proof) (*underWay, *io.PipeWriter) {
		rows, sent := io.Pipe()
		a := there.begin(p, "POST", "/batches?endpoint=meter", mediaPEMFile, rows)
		go func() {
			<-a.ended
			rows.CloseWithError(errors.New("the upload has ended"))
		}()
		return a, sent
	}
	watched, rest := upload(admin)
	if _, err := pandotest.PEMRequests(t, "SM-watched-", 1).WriteTo(rest); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	batches := must(s.Batch.Batches(t.Context(), s.Permit(t, "demo", access.ReadBatches), "", 10))(t)

	uploads, sends, watches := map[string]*underWay{}, map[string]*io.PipeWriter{}, map[string]*underWay{}
	for who, p := range proofs {
		if status, text := there.ask(p, "GET", "/batches", ""); status != http.StatusOK {
			t.Fatalf("%s: before: %d %s", who, status, text)
		}
		uploads[who], sends[who] = upload(p)
		watches[who] = there.begin(p, "GET", "/batches/"+string(batches[0].ID)+"/events", "", nil)
	}
	synctest.Wait()
	ids := map[string]string{"/grants/token": "/grants/" + token.Grants[0].ID, "/grants/anchor": "/grants/" + anchor.Grants[0].ID}
	take(t, func(method, path, body string) {
		path = cmp.Or(ids[path], path)
		if status, text := here.ask(admin, method, path, body); status >= 300 {
			t.Fatalf("%s %s: %d %s", method, path, status, text)
		}
	})
	taken := time.Now()
	for who, p := range proofs {
		if status, text := here.ask(p, "GET", "/batches", ""); status != http.StatusForbidden {
			t.Errorf("%s: at once, where it was taken: %d %s", who, status, text)
		}
	}
	looked := false
	for ; time.Since(taken) < takenWithin; time.Sleep(500 * time.Millisecond) {
		for _, send := range sends {
			_, _ = pandotest.PEMRequests(t, "SM-late-", 1).WriteTo(send) // ends when the upload does
		}
		if time.Since(taken) < 2*time.Second || looked {
			continue
		}
		looked = true
		for who, p := range proofs {
			if status, text := there.ask(p, "GET", "/batches", ""); status != http.StatusForbidden || !strings.Contains(text, `"permission":"batches.read"`) {
				t.Errorf("%s: on another node after two seconds: %d %s", who, status, text)
			}
		}
	}
	for who, a := range uploads {
		if !a.over() {
			t.Errorf("%s: the upload goes on after five seconds", who)
			sends[who].Close()
			<-a.ended
		}
		if a.Code != http.StatusForbidden {
			t.Errorf("%s: the upload ended with %d %s", who, a.Code, a.Body)
		}
	}
	// What is watched changes now: somebody would learn of it.
	rest.Close()
	<-watched.ended
	for who, a := range watches {
		<-a.ended
		if text := a.Body.String(); !a.cut || strings.Count(text, "event: ") != 1 {
			t.Errorf("%s: what is watched was not cut: %s", who, text)
		}
	}
}
