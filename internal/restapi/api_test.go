package restapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pki"
)

// described is an operation of the OpenAPI document.
type described struct {
	OperationID string `json:"operationId"`
	Summary     string `json:"summary"`
	Parameters  []struct {
		In       string `json:"in"`
		Name     string `json:"name"`
		Required bool   `json:"required"`
		Schema   struct {
			Type      string `json:"type"`
			MinLength int    `json:"minLength"`
		} `json:"schema"`
	} `json:"parameters"`
	RequestBody struct {
		Content map[string]any `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Content map[string]struct {
			Schema struct {
				Ref string `json:"$ref"`
			} `json:"schema"`
		} `json:"content"`
	} `json:"responses"`
}

func (d described) has(in, name string, required bool) bool {
	for _, p := range d.Parameters {
		if p.In == in && p.Name == name {
			return p.Required == required
		}
	}
	return false
}

func (d described) answers(status, schema string) bool {
	return d.Responses[status].Content[mediaJSON].Schema.Ref == "#/components/schemas/"+schema
}

// openAPI is the document.
type openAPI struct {
	OpenAPI string                          `json:"openapi"`
	Paths   map[string]map[string]described `json:"paths"`
}

// described returns what the document says of a route.
func (d *openAPI) described(rt Route) described { return d.Paths[rt.Path][strings.ToLower(rt.Method)] }

// document returns the document, and its text.
func (s *served) document(t *testing.T) (*openAPI, string) {
	t.Helper()
	resp, text := s.ask(t, "", "GET", "/api/v1/openapi.json", "")
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/openapi+json" {
		t.Fatalf("%d %s", resp.StatusCode, resp.Header)
	}
	doc := new(openAPI)
	if err := json.Unmarshal([]byte(text), doc); err != nil {
		t.Fatal(err)
	}
	return doc, text
}

func TestOpenAPI(t *testing.T) {
	s := serve(t)
	doc, text := s.document(t)
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("OpenAPI %s", doc.OpenAPI)
	}
	operations := 0
	for _, methods := range doc.Paths {
		operations += len(methods)
	}
	ids := map[string]bool{}
	for _, rt := range Routes() {
		op := doc.described(rt)
		if op.OperationID == "" || op.Summary == "" || ids[op.OperationID] {
			t.Errorf("%s %s is not described, or not by an id of its own: %v", rt.Method, rt.Path, op)
		}
		ids[op.OperationID] = true
		if _, ok := op.Responses["default"]; !ok {
			t.Errorf("%s %s says nothing of problems", rt.Method, rt.Path)
		}
	}
	if operations != len(Routes()) {
		t.Errorf("the document has %d operations, the table %d", operations, len(Routes()))
	}
	batches, enrollments := doc.Paths["/batches"]["post"], doc.Paths["/enrollments"]["post"]
	for name, there := range map[string]bool{
		"the endpoint of a batch is required": batches.has("query", "endpoint", true),
		"a batch may have a key":              batches.has("header", idempotencyHeader, false),
		"an enrolment may have a key":         enrollments.has("header", idempotencyHeader, false),
		"an enrolment is 201":                 enrollments.answers("201", "Enrolled"),
		"a repeated one is 200":               enrollments.answers("200", "Enrolled"),
	} {
		if !there {
			t.Errorf("the document does not say: %s", name)
		}
	}
	if !strings.Contains(text, `"secret":{"description":"The token's text, for the Authorization header. It is not kept and cannot be had again.","type":"string"}`) {
		t.Error("the secret of a new token is no string")
	}
	for _, bad := range []string{"ErrorModel", `"array","null"`, `["null"`} {
		if strings.Contains(text, bad) {
			t.Errorf("the document has %s", bad)
		}
	}
	if resp, text := s.ask(t, "", "GET", "/api/v1/openapi.yaml", ""); resp.StatusCode != 200 || !strings.Contains(text, "openapi: 3.1.0") {
		t.Errorf("YAML: %d %.200s", resp.StatusCode, text)
	}
}

func TestBadRequests(t *testing.T) {
	s := serve(t)
	s.authority = func(name string) (*hierarchy.View, error) {
		return nil, pki.Errorf(pki.NotFound, "no authority %q", name)
	}
	long := `{"endpoint":"x","csr":"` + strings.Repeat("A", maxEnrollBody) + `"}`
	tests := []struct {
		name         string
		status       int
		kind         pki.Kind
		token        string
		method, path string
		body         string
		headers      []string
	}{
		{"no token", 401, pki.Unauthenticated, "", "GET", "/authorities", "", nil},
		{"wrong token", 401, pki.Unauthenticated, "pando_wrong", "GET", "/authorities", "", nil},
		{"basic", 401, pki.Unauthenticated, "", "GET", "/authorities", "", []string{"Authorization", "Basic YTpi"}},
		{"no token on a stream", 401, pki.Unauthenticated, "", "POST", "/batches?endpoint=x", "x", nil},
		{"no token and a body", 401, pki.Unauthenticated, "", "POST", "/enrollments", "{", nil},
		{"wrong role", 403, pki.Forbidden, "auditor", "POST", "/enrollments", "{", nil},
		{"wrong role on a stream", 403, pki.Forbidden, "auditor", "POST", "/batches?endpoint=x", "x", nil},
		{"platform's route", 403, pki.Forbidden, "admin", "GET", "/tenants", "", nil},
		{"not there", 404, pki.NotFound, "admin", "GET", "/authorities/none", "", nil},
		{"no route", 404, pki.NotFound, "admin", "GET", "/certs", "", nil},
		{"no route, no token", 404, pki.NotFound, "", "GET", "/", "", nil},
		{"method", 405, pki.Malformed, "admin", "PUT", "/authorities", "", nil},
		{"unknown query", 400, pki.Malformed, "admin", "GET", "/authorities?all=1", "", nil},
		{"unknown query on a stream", 400, pki.Malformed, "factory", "POST", "/batches?endpoint=x&dryrun=true", "x", []string{"Content-Type", mediaPEMFile}},
		{"query twice", 400, pki.Malformed, "factory", "POST", "/batches?endpoint=x&endpoint=y", "x", []string{"Content-Type", mediaPEMFile}},
		{"no endpoint", 400, pki.Malformed, "factory", "POST", "/batches", "x", []string{"Content-Type", mediaPEMFile}},
		{"rows of another type", 400, pki.Malformed, "factory", "POST", "/batches?endpoint=x", "x", []string{"Content-Type", "text/html"}},
		{"rows in another charset", 400, pki.Malformed, "factory", "POST", "/batches?endpoint=x", "x", []string{"Content-Type", "text/csv; charset=utf-16"}},
		{"long key", 400, pki.Malformed, "factory", "POST", "/batches?endpoint=x", "x", []string{"Content-Type", mediaPEMFile, idempotencyHeader, strings.Repeat("k", 129)}},
		{"empty key", 400, pki.Malformed, "factory", "POST", "/batches?endpoint=x", "x", []string{"Content-Type", mediaPEMFile, idempotencyHeader, ""}},
		{"two keys", 400, pki.Malformed, "factory", "POST", "/batches?endpoint=x", "x", []string{"Content-Type", mediaPEMFile, idempotencyHeader, "a", idempotencyHeader, "b"}},
		{"empty key of one", 400, pki.Malformed, "factory", "POST", "/enrollments", `{"endpoint":"x","csr":"MAA="}`, []string{idempotencyHeader, ""}},
		{"blank key of one", 400, pki.Malformed, "factory", "POST", "/enrollments", `{"endpoint":"x","csr":"MAA="}`, []string{idempotencyHeader, "  "}},
		{"two keys of one", 400, pki.Malformed, "factory", "POST", "/enrollments", `{"endpoint":"x","csr":"MAA="}`, []string{idempotencyHeader, "a", idempotencyHeader, "a"}},
		{"long key of one", 400, pki.Malformed, "factory", "POST", "/enrollments", `{"endpoint":"x","csr":"MAA="}`, []string{idempotencyHeader, strings.Repeat("k", 129)}},
		{"another charset", 400, pki.Malformed, "factory", "POST", "/enrollments", `{"endpoint":"x","csr":"MAA="}`, []string{"Content-Type", "application/json; charset=utf-16"}},
		{"query twice, not on a stream", 400, pki.Malformed, "admin", "GET", "/certificates?limit=1&limit=2", "", nil},
		{"two tokens", 400, pki.Malformed, "", "GET", "/whoami", "", []string{"Authorization", "Bearer admin", "Authorization", "Bearer auditor"}},
		{"two tokens on a stream", 400, pki.Malformed, "", "POST", "/batches?endpoint=x", "x", []string{"Content-Type", mediaPEMFile, "Authorization", "Bearer factory", "Authorization", "Bearer factory"}},
		{"two tenants", 400, pki.Malformed, "admin", "GET", "/whoami", "", []string{tenantHeader, "demo", tenantHeader, "beta"}},
		{"query that cannot be read", 400, pki.Malformed, "admin", "GET", "/certificates?limit=%zz", "", nil},
		{"token for no endpoints", 400, pki.Malformed, "admin", "POST", "/tokens", `{"name":"x","role":"factory-operator","endpoints":[]}`, nil},
		{"token for null endpoints", 400, pki.Malformed, "admin", "POST", "/tokens", `{"name":"x","role":"factory-operator","endpoints":null}`, nil},
		{"null in a list", 400, pki.Malformed, "admin", "POST", "/tokens", `{"name":"x","role":"factory-operator","endpoints":["meter",null]}`, nil},
		{"null names", 400, pki.Malformed, "admin", "PATCH", "/endpoints/x", `{"names":null}`, nil},
		{"path with two slashes", 404, pki.NotFound, "admin", "GET", "//whoami", "", nil},
		{"path with dots", 404, pki.NotFound, "admin", "GET", "/tokens/../whoami", "", nil},
		{"results of another format", 400, pki.Malformed, "factory", "GET", "/batches/1/results?format=xml", "", nil},
		{"results after minus one", 400, pki.Malformed, "factory", "GET", "/batches/1/results?after=-1", "", nil},
		{"not JSON", 400, pki.Malformed, "factory", "POST", "/enrollments", "{", nil},
		{"duplicate member", 400, pki.Malformed, "factory", "POST", "/enrollments", `{"endpoint":"x","csr":"MAA=","csr":"MAB="}`, nil},
		{"unknown member", 400, pki.Malformed, "factory", "POST", "/enrollments", `{"endpoint":"x","csr":"MAA=","ca":true}`, nil},
		{"missing member", 400, pki.Malformed, "factory", "POST", "/enrollments", `{"csr":"MAA="}`, nil},
		{"no request", 400, pki.Malformed, "factory", "POST", "/enrollments", `{"endpoint":"x"}`, nil},
		{"null instead of a device", 400, pki.Malformed, "factory", "POST", "/enrollments", `{"endpoint":"x","csr":"MAA=","device":null}`, nil},
		{"null body", 400, pki.Malformed, "factory", "POST", "/enrollments", `null`, nil},
		{"number instead of a lot", 400, pki.Malformed, "factory", "POST", "/enrollments", `{"endpoint":"x","csr":"MAA=","lot":17}`, nil},
		{"list", 400, pki.Malformed, "factory", "POST", "/enrollments", `[]`, nil},
		{"no body", 400, pki.Malformed, "factory", "POST", "/enrollments", ``, nil},
		{"deep", 400, pki.Malformed, "factory", "POST", "/enrollments", strings.Repeat(`[`, 60_000), nil},
		{"too large", 413, pki.Malformed, "factory", "POST", "/enrollments", long, nil},
		{"form", 415, pki.Malformed, "factory", "POST", "/enrollments", "a=b", []string{"Content-Type", "application/x-www-form-urlencoded"}},
		{"CSR that is none", 400, pki.Malformed, "factory", "POST", "/enrollments", `{"endpoint":"x","csr":"!"}`, nil},
		{"serial that is none", 400, pki.Malformed, "admin", "GET", "/certificates/i/xyz", "", nil},
		{"reason that is none", 400, pki.Malformed, "admin", "POST", "/certificates/i/01/revoke", `{"reason":"boredom"}`, nil},
		{"limit", 400, pki.Malformed, "admin", "GET", "/certificates?limit=1001", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.refused(t, tt.status, tt.kind, tt.token, tt.method, "/api/v1"+tt.path, tt.body, tt.headers...)
		})
	}
	t.Run("what is wrong where", func(t *testing.T) {
		p := s.refused(t, 400, pki.Malformed, "admin", "POST", "/api/v1/tokens", `{"name":"x"}`)
		want := []client.FieldError{{Location: "body", Message: "the member role is missing"}}
		if diff := cmp.Diff(want, p.Errors); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("allowed methods", func(t *testing.T) {
		resp, _ := s.ask(t, "admin", "PUT", "/api/v1/authorities", "")
		if got := resp.Header.Get("Allow"); got != "GET, HEAD, POST" {
			t.Errorf("Allow: %s", got)
		}
	})
	t.Run("no echo of a body", func(t *testing.T) {
		_, text := s.ask(t, "factory", "POST", "/api/v1/enrollments", `{"challenge":"hunter2"`)
		if strings.Contains(text, "hunter2") || strings.Contains(s.log.String(), "hunter2") {
			t.Errorf("the body is shown: %s", text)
		}
	})
}

func TestLogHasNoTokens(t *testing.T) {
	s := serve(t)
	s.ask(t, "pando_secret", "GET", "/api/v1/whoami", "")
	s.ask(t, "admin", "GET", "/api/v1/whoami", "")
	log := s.log.String()
	if strings.Contains(log, "pando_secret") || strings.Contains(log, "Bearer") {
		t.Error("the log has a token: " + log)
	}
	if strings.Count(log, "msg=request ") != 2 || !strings.Contains(log, `route="GET /api/v1/whoami"`) {
		t.Error("the log lacks a request: " + log)
	}
}

func TestPanicEndsOneRequest(t *testing.T) {
	s := serve(t)
	s.authority = func(string) (*hierarchy.View, error) { panic("at 10.0.0.1") }
	p := s.refused(t, 500, pki.Internal, "admin", "GET", "/api/v1/authorities/x", "")
	if strings.Contains(p.Error(), "10.0.0.1") {
		t.Errorf("the panic is shown: %v", p)
	}
	resp, _ := s.ask(t, "admin", "GET", "/api/v1/authorities", "")
	if resp.StatusCode != 200 {
		t.Errorf("the next request: %d", resp.StatusCode)
	}
	if log := s.log.String(); !strings.Contains(log, "at 10.0.0.1") || !strings.Contains(log, "restapi.(*server).getAuthority") {
		t.Errorf("the log has no stack: %s", log)
	}
}

func TestInternalErrorIsLoggedUnderItsRequestID(t *testing.T) {
	s := serve(t)
	s.authority = func(string) (*hierarchy.View, error) { return nil, errors.New("disk at 10.0.0.1 is full") }
	resp, text := s.ask(t, "admin", "GET", "/api/v1/authorities/x", "")
	id := resp.Header.Get("Request-Id")
	if resp.StatusCode != 500 || strings.Contains(text, "10.0.0.1") || len(id) != 26 {
		t.Errorf("%d %s, request %q", resp.StatusCode, text, id)
	}
	for line := range strings.Lines(s.log.String()) {
		if strings.Contains(line, "disk at 10.0.0.1 is full") && strings.Contains(line, "level=ERROR") && strings.Contains(line, "request="+id) {
			return
		}
	}
	t.Error("the cause is not logged: " + s.log.String())
}

func TestEmptyListIsAnArray(t *testing.T) {
	s := serve(t)
	if _, text := s.ask(t, "admin", "GET", "/api/v1/authorities", ""); text != `{"items":[]}` {
		t.Error(text)
	}
}

func TestEnroll(t *testing.T) {
	s := serve(t)
	var asked enroll.Request
	answered := &pki.Enrollment{Certificate: &pki.Certificate{Issuer: "iss", Serial: pki.Serial{19: 7}, Device: "SM-1",
		Profile: pki.ProfileRef{Tenant: "demo", Name: "meter", Version: 3}, NotBefore: day, NotAfter: day.AddDate(20, 0, 0), DER: []byte{0x30, 0}},
		Chain: [][]byte{{0x30, 1}}}
	s.enrolled = func(r enroll.Request) (*pki.Enrollment, error) {
		asked = r
		return answered, nil
	}
	body := `{"endpoint":"meter","csr":"MAA=","device":"SM-1","product_line":"p","lot":"l","site":"s","attributes":{"a":"b"}}`
	resp, text := s.ask(t, "factory", "POST", "/api/v1/enrollments", body, idempotencyHeader, "key 1")
	if resp.StatusCode != 201 {
		t.Fatalf("%d %s", resp.StatusCode, text)
	}
	want := enroll.Request{Grant: asked.Grant, Endpoint: "meter", Protocol: pki.ProtocolREST, Idempotency: "key 1",
		Subject: enroll.Subject{CSR: []byte{0x30, 0}, Device: "SM-1", Attributes: map[string]string{"a": "b"},
			Placement: pki.Placement{ProductLine: "p", Lot: "l", Site: "s"}}}
	if diff := cmp.Diff(want.Subject, asked.Subject); diff != "" || asked.Endpoint != want.Endpoint || asked.Idempotency != want.Idempotency || asked.Protocol != want.Protocol {
		t.Errorf("asked %+v %s", asked, diff)
	}
	answered.Repeated = true
	got, err := s.client(t, "factory").Enroll(t.Context(), client.Enrollment{Endpoint: "meter", CSR: "MAA="}, "key 1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&client.Enrolled{Issuer: "iss", Serial: "07", Device: "SM-1",
		Profile:   client.ProfileRef{Name: "meter", Version: 3, Hash: "ab" + strings.Repeat("00", 31)},
		NotBefore: day, NotAfter: day.AddDate(20, 0, 0),
		Certificate: certificatePEM([]byte{0x30, 0}), Chain: []string{certificatePEM([]byte{0x30, 1})}, Repeated: true}, got); diff != "" {
		t.Error(diff)
	}
	if resp, _ := s.ask(t, "factory", "POST", "/api/v1/enrollments", body); resp.StatusCode != 200 {
		t.Errorf("repeated: %d, want 200", resp.StatusCode)
	}
}

func TestCertificates(t *testing.T) {
	s := serve(t)
	s.certificate = &pki.Certificate{Issuer: "iss", Serial: pki.Serial{19: 7}, Device: "SM-1", DER: []byte{0x30, 0},
		Profile: pki.ProfileRef{Tenant: "demo", Name: "meter", Version: 3}, NotBefore: day, NotAfter: day.AddDate(20, 0, 0), Issued: day}
	want := client.Certificate{Issuer: "iss", Serial: "07", Device: "SM-1", Certificate: certificatePEM([]byte{0x30, 0}),
		Fingerprint: fingerprint([]byte{0x30, 0}), Profile: client.ProfileRef{Name: "meter", Version: 3, Hash: "ab" + strings.Repeat("00", 31)},
		NotBefore: day, NotAfter: day.AddDate(20, 0, 0), Issued: day}
	c := s.client(t, "auditor")
	got, err := c.Certificate(t.Context(), "iss", "07")
	if err != nil {
		t.Fatal(err)
	}
	want.Status = &client.Status{State: "good"}
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhoAmI(t *testing.T) {
	s := serve(t)
	s.tokens["line3"] = access.Principal{Tenant: "demo", ID: "token:4", Name: "line 3", Grants: access.Given(access.FactoryOperator, access.Scope{Endpoint: "meter"}), Expires: day}
	got, err := s.client(t, "line3").WhoAmI(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&client.Identity{Tenant: "demo", ID: "token:4", Name: "line 3", Grants: []client.Grant{{Role: "factory-operator", Scope: "endpoint:meter"}}, Expires: day}, got); diff != "" {
		t.Error(diff)
	}
}

func TestSubmit(t *testing.T) {
	s := serve(t)
	var got batch.Submission
	var rows int64
	s.submitted = func(n batch.Submission, body io.Reader) (*batch.Batch, error) {
		var err error
		got = n
		rows, err = io.Copy(io.Discard, body)
		return &batch.Batch{ID: "b1", State: batch.Checking, DryRun: n.DryRun}, err
	}
	body := bytes.NewReader(make([]byte, 3<<20)) // more than any JSON body may have
	b, err := s.client(t, "factory").Submit(t.Context(), client.Submission{Endpoint: "meter", Format: client.NDJSON,
		ProductLine: "p", Lot: "l", Site: "s", DryRun: true, IdempotencyKey: "order 17"}, body)
	if err != nil {
		t.Fatal(err)
	}
	if b.ID != "b1" || b.State != client.Checking || !b.DryRun || rows != 3<<20 {
		t.Errorf("%+v after %d bytes", b, rows)
	}
	want := batch.Submission{Endpoint: "meter", Format: batch.NDJSON, DryRun: true, Idempotency: "order 17",
		Defaults: pki.Placement{ProductLine: "p", Lot: "l", Site: "s"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRevoke(t *testing.T) {
	s := serve(t)
	c := s.client(t, "admin")
	got, err := c.Revoke(t.Context(), "iss", "0a", "keyCompromise")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&client.Status{State: "revoked", Reason: "keyCompromise", At: day}, got); diff != "" {
		t.Error(diff)
	}
	if held, err := c.Revoke(t.Context(), "iss", "0b", "certificateHold"); err != nil || held.State != client.Held {
		t.Errorf("hold: %+v, %v", held, err)
	}
	if released, err := c.Release(t.Context(), "iss", "0b"); err != nil || released.State != client.Good {
		t.Errorf("release: %+v, %v", released, err)
	}
	s.refused(t, 409, pki.Conflict, "admin", "POST", "/api/v1/certificates/iss/0b/release", "")
	s.refused(t, 400, pki.Malformed, "admin", "POST", "/api/v1/certificates/iss/0b/revoke", `{"reason":"removeFromCRL"}`)
	_, err = c.Revoke(t.Context(), "iss", "0a", "superseded")
	var p *client.Problem
	if !errors.As(err, &p) || p.Status != http.StatusConflict || p.Kind != "already-revoked" || p.RequestID == "" {
		t.Errorf("again: %v", err)
	}
}
