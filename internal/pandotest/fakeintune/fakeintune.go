// Package fakeintune is a small stand-in, for tests, for what Microsoft Intune has other
// certification authorities ask about SCEP requests: a token endpoint, a list of services and
// the service with its three actions, over real HTTP.
//
// It is made after what Microsoft's public client library sends and reads. It is not Intune,
// and proves nothing about it.
package fakeintune

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/tbs"
)

// What a Service takes.
const (
	Client = "fake-client"
	Secret = "a fake client secret"
	Scope  = "https://api.fake.example//.default"
	Graph  = "https://graph.fake.example/.default"
)

// A Told is a notification.
type Told struct {
	Action      string
	Transaction string
	Thumbprint  string
	Serial      string
	Issuer      string
	Expires     string
	Result      int64
	Description string
}

// A Service is one server with all of it. Its fields are set before it is asked, or with Set.
type Service struct {
	URL string

	mu         sync.Mutex
	challenges map[string]string // that it takes, each with the code that it answers; guarded by mu, as are the others
	tokens     int               // given out
	token      string            // that counts
	status     int               // of each answer of the service; 0 is what it is
	odd        map[string]int    // status of the answer to requests with a challenge
	none       bool              // it gives out no more tokens
	lists      int               // times that the list of services was asked for
	asked      int               // requests that it was asked about
	body       string            // of each answer of the service; "" is what it is
	held       chan struct{}     // what each answer of the service waits for the end of; nil is nothing
	waiting    int               // answers that are held
	elsewhere  string            // what the list of services says; "" is this one
	told       []Told
}

// New starts a service that ends with the test.
func New(t testing.TB) *Service {
	s := &Service{challenges: make(map[string]string), odd: make(map[string]int)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /tenant/oauth2/v2.0/token", s.giveToken)
	mux.HandleFunc("GET /graph/endpoints", s.list)
	mux.HandleFunc("POST /fef/ScepActions/{action}", s.act)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Take has it answer a code to requests with a challenge: "Success", or another.
func (s *Service) Take(challenge, code string) { s.set(func() { s.challenges[challenge] = code }) }

// Fail has it answer everything by a status; 0 ends it.
func (s *Service) Fail(status int) { s.set(func() { s.status = status }) }

// Odd has it answer requests with a challenge by a status.
func (s *Service) Odd(challenge string, status int) { s.set(func() { s.odd[challenge] = status }) }

// Say has it answer everything by a body; "" ends it.
func (s *Service) Say(body string) { s.set(func() { s.body = body }) }

// Hold has it give no answer until release is called, or the client goes away.
func (s *Service) Hold() (release func()) {
	held := make(chan struct{})
	s.set(func() { s.held = held })
	return func() { s.set(func() { s.held = nil; close(held) }) }
}

// Waiting returns how many answers are held.
func (s *Service) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting
}

// Revoke has the token that it gave out count no more.
func (s *Service) Revoke() { s.set(func() { s.token = "" }) }

// Elsewhere has the list of services name another URL.
func (s *Service) Elsewhere(url string) { s.set(func() { s.elsewhere = url }) }

func (s *Service) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// Told returns what it was told.
func (s *Service) Told() []Told {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Told(nil), s.told...)
}

// Tokens returns how many tokens it gave out.
func (s *Service) Tokens() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokens
}

// Asked returns how many requests it was asked about.
func (s *Service) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// GiveNone has it give out no more tokens.
func (s *Service) GiveNone() { s.set(func() { s.none = true }) }

// Lists returns how often its list of services was asked for.
func (s *Service) Lists() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lists
}

func (s *Service) giveToken(w http.ResponseWriter, r *http.Request) {
	scope := r.PostFormValue("scope")
	if r.PostFormValue("grant_type") != "client_credentials" || r.PostFormValue("client_id") != Client || r.PostFormValue("client_secret") != Secret || scope != Scope && scope != Graph {
		http.Error(w, `{"error":"invalid_client"}`, http.StatusUnauthorized)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.none {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	s.tokens++
	token := "graph-token"
	if scope == Scope {
		s.token = "token-" + time.Now().Format("150405.000000000")
		token = s.token
	}
	answer(w, map[string]any{"token_type": "Bearer", "expires_in": 3599, "access_token": token})
}

func (s *Service) list(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer graph-token" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s.lists++
	uri := s.URL + "/fef"
	if s.elsewhere != "" {
		uri = s.elsewhere
	}
	answer(w, map[string]any{"value": []map[string]any{
		{"providerName": "SomethingElse", "uri": "https://elsewhere.example/"},
		{"providerName": "ScepRequestValidationFEService", "uri": uri},
	}})
}

// body is what any of the three actions brings.
type body struct {
	Request *struct {
		Transaction string `json:"transactionId"`
		Request     string `json:"certificateRequest"`
		Caller      string `json:"callerInfo"`
	} `json:"request"`
	Notification *struct {
		Transaction string `json:"transactionId"`
		Request     string `json:"certificateRequest"`
		Caller      string `json:"callerInfo"`
		Thumbprint  string `json:"certificateThumbprint"`
		Serial      string `json:"certificateSerialNumber"`
		Expires     string `json:"certificateExpirationDateUtc"`
		Issuer      string `json:"issuingCertificateAuthority"`
		Result      int64  `json:"hResult"`
		Description string `json:"errorDescription"`
	} `json:"notification"`
}

func (s *Service) act(w http.ResponseWriter, r *http.Request) {
	var b body
	unread := json.NewDecoder(r.Body).Decode(&b) // before it waits: net/http sees then that a client went away
	s.mu.Lock()
	defer s.mu.Unlock()
	if held := s.held; held != nil {
		s.waiting++
		s.mu.Unlock()
		select {
		case <-held:
		case <-r.Context().Done():
		}
		s.mu.Lock()
		s.waiting--
	}
	switch {
	case s.status != 0:
		w.WriteHeader(s.status)
		return
	case s.body != "":
		_, _ = w.Write([]byte(s.body))
		return
	case s.token == "" || r.Header.Get("Authorization") != "Bearer "+s.token:
		w.WriteHeader(http.StatusUnauthorized)
		return
	case r.Header.Get("api-version") != "2018-02-20" || len(r.Header.Get("client-request-id")) != 36 || unread != nil:
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	action := r.PathValue("action")
	switch {
	case action == "validateRequest" && b.Request != nil:
		s.asked++
		if challenge, _ := challengeOf(b.Request.Request); s.odd[challenge] != 0 {
			w.WriteHeader(s.odd[challenge])
			return
		}
		answer(w, map[string]string{"code": s.code(b.Request.Request), "errorDescription": "as the fake was told"})
	case b.Notification != nil && (action == "successNotification" || action == "failureNotification"):
		n := b.Notification
		if s.code(n.Request) == "CertificateRequestDecodingFailed" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.told = append(s.told, Told{action, n.Transaction, n.Thumbprint, n.Serial, n.Issuer, n.Expires, n.Result, n.Description})
		answer(w, map[string]string{"code": "Success", "errorDescription": ""})
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// code returns what is answered to a request, by its challenge.
func (s *Service) code(request string) string {
	challenge, code := challengeOf(request)
	switch of, ok := s.challenges[challenge]; {
	case code != "":
		return code
	case ok:
		return of
	}
	return "ChallengeDecryptionError"
}

// challengeOf returns the challenge of a request, or the code that says why it has none.
func challengeOf(request string) (challenge, code string) {
	raw, err := base64.StdEncoding.DecodeString(request)
	if err != nil {
		return "", "CertificateRequestDecodingFailed"
	}
	csr, err := tbs.ParseCSR(raw)
	if err != nil {
		return "", "CertificateRequestDecodingFailed"
	}
	text, err := csr.Challenge()
	if err != nil || text.IsZero() {
		return "", "ChallengePasswordMissing"
	}
	return text.Reveal(), ""
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
