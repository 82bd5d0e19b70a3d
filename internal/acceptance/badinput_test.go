//go:build system

package acceptance

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// Media types of requests.
const (
	mediaJSON   = "application/json"
	mediaNDJSON = "application/x-ndjson"
	mediaPEM    = "application/x-pem-file"
)

// A badCall is a request that must be refused, and how.
type badCall struct {
	name   string
	method string
	path   string
	token  string // "" is that of the tenant's administrator
	media  string
	body   io.Reader
	status int
	kind   pki.Kind
}

// mostGrowth is how much more memory a server may have had with bad input than
// before. Much of that input is of 100 MB. While the heap is small garbage is
// collected rarely, so most of it is that.
const mostGrowth = 64 << 20

// TestBadInput sends what must be refused. Each gets the right status and kind, a
// server that has all of it behind it has issued nothing, and has no more memory
// than before.
func TestBadInput(t *testing.T) {
	h := newHouse(t, 2)
	before := h.check(t, "")
	h.serve(t)
	people := web(t, h.file.TLSCA, true)
	had := h.server.memory(t, "VmHWM")

	t.Run("requests", func(t *testing.T) { sendBad(t, h, people, badRequests(t)) })
	t.Run("json", func(t *testing.T) { sendBad(t, h, people, badJSON()) })
	t.Run("names", func(t *testing.T) { sendBad(t, h, people, badNames(t)) })
	t.Run("tokens", func(t *testing.T) { sendBad(t, h, people, badTokens(t, h)) })
	t.Run("roles", func(t *testing.T) { sendBad(t, h, people, badRoles(t, h)) })
	t.Run("rows", func(t *testing.T) { testBadRows(t, h) })

	has := h.server.memory(t, "VmHWM")
	t.Logf("the server had %s in memory at most before, and %s after", mib(had), mib(has))
	if has-had > mostGrowth {
		t.Errorf("that is more than %s", mib(mostGrowth))
	}
	// A ceremony's answer may have 64 MiB and is held whole, of an administrator.
	t.Run("ceremony", func(t *testing.T) {
		sendBad(t, h, people, []badCall{{"100 MB for a ceremony", http.MethodPost, "/authorities/install", "", mediaJSON, endless('[', 100<<20), http.StatusBadRequest, pki.Malformed}})
	})
	// It goes on with its work.
	csr, err := request("good")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.as(t, "").Enroll(t.Context(), client.Enrollment{Endpoint: "device", CSR: csr}, ""); err != nil {
		t.Errorf("a good request after all that: %v", err)
	}
	h.stop(t)
	if after := h.check(t, ""); after.Certificates != before.Certificates+1 {
		t.Errorf("the store has %d new certificates, want 1", after.Certificates-before.Certificates)
	}
}

// sendBad sends each call and holds the answer against what is wanted.
func sendBad(t *testing.T, h *house, web *http.Client, calls []badCall) {
	t.Helper()
	var slowest time.Duration
	for _, c := range calls {
		r, err := http.NewRequestWithContext(t.Context(), c.method, h.file.API+c.path, c.body)
		if err != nil {
			t.Fatal(err)
		}
		token := c.token
		if token == "" {
			token = h.file.Token.Reveal()
		}
		r.Header.Set("Authorization", "Bearer "+token)
		if c.media != "" {
			r.Header.Set("Content-Type", c.media)
		}
		began := time.Now()
		resp, err := web.Do(r)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var p client.Problem
		err = json.NewDecoder(resp.Body).Decode(&p)
		resp.Body.Close()
		slowest = max(slowest, time.Since(began))
		switch media := resp.Header.Get("Content-Type"); {
		case resp.StatusCode != c.status || p.Status != c.status || p.Kind != c.kind.String():
			t.Errorf("%s: status %d, problem of status %d, kind %q: %s; want status %d, kind %q", c.name, resp.StatusCode, p.Status, p.Kind, p.Detail, c.status, c.kind)
		case err != nil || media != "application/problem+json" || p.Type != "urn:pando:error:"+p.Kind || p.Title == "" || p.Detail == "":
			t.Errorf("%s: the answer, a %s, is no problem as RFC 9457 has it: %+v, %v", c.name, media, p, err)
		}
	}
	t.Logf("%d refused, the slowest in %v", len(calls), slowest)
}

// enrollment is the body of a request for a certificate.
func enrollment(endpoint, csr string) io.Reader {
	return strings.NewReader(fmt.Sprintf(`{"endpoint":%q,"csr":%q}`, endpoint, csr))
}

// badRequests enrols with each bad CSR.
func badRequests(t *testing.T) []badCall {
	t.Helper()
	var calls []badCall
	for _, bad := range pandotest.BadCSRs(t) {
		status := http.StatusBadRequest
		if len(bad.DER) > 100_000 {
			status = http.StatusRequestEntityTooLarge
		}
		for form, text := range map[string]string{
			"base64": base64.StdEncoding.EncodeToString(bad.DER),
			"PEM":    string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: bad.DER})),
		} {
			calls = append(calls, badCall{name: bad.Name + ", " + form, method: http.MethodPost, path: "/enrollments",
				media: mediaJSON, body: enrollment("meter", text), status: status, kind: bad.Kind})
		}
	}
	return calls
}

// endless is a body of so many bytes.
func endless(octet byte, n int64) io.Reader { return io.LimitReader(repeated(octet), n) }

type repeated byte

func (r repeated) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(r)
	}
	return len(b), nil
}

// badJSON is JSON that must not be taken, and what is no JSON.
func badJSON() []badCall {
	post := func(name, body string) badCall {
		return badCall{name, http.MethodPost, "/enrollments", "", mediaJSON, strings.NewReader(body), http.StatusBadRequest, pki.Malformed}
	}
	huge := func(name, path, media string, octet byte, status int) badCall {
		return badCall{name, http.MethodPost, path, "", media, endless(octet, 100<<20), status, pki.Malformed}
	}
	return []badCall{
		post("nothing", ""),
		post("null", "null"),
		post("an array", "[]"),
		post("cut short", `{"endpoint":"meter"`),
		post("two values", `{"endpoint":"meter","csr":"AA=="}{}`),
		post("a member twice", `{"endpoint":"meter","csr":"AA==","endpoint":"device"}`),
		post("a member twice, in another case", `{"endpoint":"meter","csr":"AA==","Endpoint":"device"}`),
		post("an unknown member", `{"endpoint":"meter","csr":"AA==","validity":"99y"}`),
		post("an attribute twice", `{"endpoint":"meter","csr":"AA==","attributes":{"a":"1","a":"2"}}`),
		post("a member missing", `{"endpoint":"meter"}`),
		post("a member of another type", `{"endpoint":"meter","csr":1}`),
		post("a huge number", `{"endpoint":"meter","csr":1e999999999}`),
		post("broken UTF-8", "{\"endpoint\":\"meter\",\"csr\":\"\xff\"}"),
		post("60,000 levels", strings.Repeat("[", 60_000)),
		post("20,000 levels of objects", strings.Repeat(`{"a":`, 20_000)),
		post("33 levels in a known member", `{"endpoint":"meter","csr":`+strings.Repeat("[", 33)+strings.Repeat("]", 33)+`}`),
		post("33 attributes", `{"endpoint":"meter","csr":"AA==","attributes":{`+manyAttributes(33)+`}}`),
		huge("100 MB of brackets", "/enrollments", mediaJSON, '[', http.StatusRequestEntityTooLarge),
		huge("100 MB of blanks", "/enrollments", mediaJSON, ' ', http.StatusRequestEntityTooLarge),
		huge("100 MB for a token", "/tokens", mediaJSON, '[', http.StatusRequestEntityTooLarge),
		huge("100 MB without a row", "/batches?endpoint=meter", mediaPEM, 'x', http.StatusBadRequest),
		huge("100 MB of empty lines", "/batches?endpoint=meter", mediaNDJSON, '\n', http.StatusBadRequest),
		{"a form", http.MethodPost, "/enrollments", "", "application/x-www-form-urlencoded", enrollment("meter", "AA=="), http.StatusUnsupportedMediaType, pki.Malformed},
		{"rows as text", http.MethodPost, "/batches?endpoint=meter", "", "text/plain", strings.NewReader("x"), http.StatusBadRequest, pki.Malformed},
		{"rows of no type", http.MethodPost, "/batches?endpoint=meter", "", "", strings.NewReader("x"), http.StatusBadRequest, pki.Malformed},
		{"a misspelt parameter", http.MethodPost, "/batches?endpoint=meter&dryrun=true", "", mediaPEM, strings.NewReader("x"), http.StatusBadRequest, pki.Malformed},
		{"a parameter twice", http.MethodPost, "/batches?endpoint=meter&endpoint=device", "", mediaPEM, strings.NewReader("x"), http.StatusBadRequest, pki.Malformed},
	}
}

func manyAttributes(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`"a%d":"1"`, i))
	}
	return strings.Join(all, ",")
}

// badNames names what is not there.
func badNames(t *testing.T) []badCall {
	t.Helper()
	csr, err := request("SM-1")
	if err != nil {
		t.Fatal(err)
	}
	get := func(name, path string) badCall {
		return badCall{name: name, method: http.MethodGet, path: path, status: http.StatusNotFound, kind: pki.NotFound}
	}
	post := func(name, path, media string, body io.Reader) badCall {
		return badCall{name, http.MethodPost, path, "", media, body, http.StatusNotFound, pki.NotFound}
	}
	return []badCall{
		post("enrolment at an unknown endpoint", "/enrollments", mediaJSON, enrollment("none", csr)),
		post("enrolment at another tenant's endpoint", "/enrollments", mediaJSON, enrollment("other.meter", csr)),
		post("batch at an unknown endpoint", "/batches?endpoint=none", mediaPEM, strings.NewReader("x")),
		post("batch at another tenant's endpoint", "/batches?endpoint=other.meter", mediaPEM, strings.NewReader("x")),
		post("endpoint of an unknown authority", "/endpoints", mediaJSON, strings.NewReader(`{"name":"new","authority":"none","profile":"meter"}`)),
		post("endpoint of an unknown profile", "/endpoints", mediaJSON, strings.NewReader(`{"name":"new","authority":"manufacturing","profile":"none"}`)),
		post("endpoint of an unknown version", "/endpoints", mediaJSON, strings.NewReader(`{"name":"new","authority":"manufacturing","profile":"meter","version":9}`)),
		post("authority under an unknown one", "/authorities", mediaJSON, strings.NewReader(`{"name":"new","common_name":"New","kind":"issuing","parent":"none"}`)),
		post("revocation under an unknown issuer", "/certificates/none/01/revoke", mediaJSON, strings.NewReader(`{"reason":"superseded"}`)),
		get("unknown authority", "/authorities/none"),
		get("unknown profile", "/profiles/none"),
		get("unknown endpoint", "/endpoints/none"),
		get("unknown batch", "/batches/none"),
		get("results of an unknown batch", "/batches/none/results"),
		get("unknown certificate", "/certificates/none/01"),
		get("unknown tenant", "/tenants/none/tokens"),
		get("unknown route", "/certificate"),
		{"batch where batches are off", http.MethodPost, "/batches?endpoint=firmware", "", mediaPEM, strings.NewReader("x"), http.StatusForbidden, pki.PolicyRefused},
	}
}

// badTokens asks with tokens that do not hold.
func badTokens(t *testing.T, h *house) []badCall {
	t.Helper()
	administrator := h.as(t, "")
	made, err := administrator.CreateToken(t.Context(), client.NewToken{Name: "soon revoked", Role: "tenant-administrator"})
	if err != nil {
		t.Fatal(err)
	}
	if err := administrator.RevokeToken(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	token := h.file.Token.Reveal()
	other := byte('0')
	if token[len(token)-1] == other {
		other = '1'
	}
	var calls []badCall
	for name, token := range map[string]string{
		"a word":            "password",
		"a revoked token":   made.Secret.Reveal(),
		"a wrong checksum":  token[:len(token)-1] + string(other),
		"a token cut short": token[:len(token)-1],
		"20,000 characters": "pando_" + strings.Repeat("A", 20_000),
	} {
		calls = append(calls, badCall{name, http.MethodGet, "/whoami", token, "", nil, http.StatusUnauthorized, pki.Unauthenticated},
			badCall{name + ", enrolling", http.MethodPost, "/enrollments", token, mediaJSON, endless('[', 100<<20), http.StatusUnauthorized, pki.Unauthenticated},
			badCall{name + ", with a batch", http.MethodPost, "/batches?endpoint=meter", token, mediaPEM, endless('x', 100<<20), http.StatusUnauthorized, pki.Unauthenticated})
	}
	return calls
}

// badRoles asks for what the token's role does not include.
func badRoles(t *testing.T, h *house) []badCall {
	t.Helper()
	administrator := h.as(t, "")
	create := func(role string, scopes ...string) string {
		t.Helper()
		made, err := administrator.CreateToken(t.Context(), client.NewToken{Name: role, Role: role, Scopes: scopes})
		if err != nil {
			t.Fatal(err)
		}
		return made.Secret.Reveal()
	}
	auditor, factory, meterOnly, operator := create("auditor"), create("factory-operator"), create("factory-operator", "endpoint:meter"), h.operator(t)
	csr, err := request("SM-1")
	if err != nil {
		t.Fatal(err)
	}
	good := readCertificates(t, h.file.Samples.Good)[0]
	issuer := h.file.Authorities["manufacturing"].OCSP
	issuer = issuer[strings.LastIndexByte(issuer, '/')+1:]
	revoke := fmt.Sprintf("/certificates/%s/%x/revoke", issuer, good.SerialNumber.Bytes())
	forbidden := func(name, method, path, token, body string) badCall {
		c := badCall{name: name, method: method, path: path, token: token, status: http.StatusForbidden, kind: pki.Forbidden}
		if body != "" {
			c.media, c.body = mediaJSON, strings.NewReader(body)
		}
		return c
	}
	newToken := `{"name":"more","role":"tenant-administrator"}`
	return []badCall{
		{"auditor enrols", http.MethodPost, "/enrollments", auditor, mediaJSON, enrollment("meter", csr), http.StatusForbidden, pki.Forbidden},
		{"operator enrols", http.MethodPost, "/enrollments", operator, mediaJSON, enrollment("demo.meter", csr), http.StatusForbidden, pki.Forbidden},
		{"auditor submits", http.MethodPost, "/batches?endpoint=meter", auditor, mediaPEM, strings.NewReader("x"), http.StatusForbidden, pki.Forbidden},
		{"outside the token's scope", http.MethodPost, "/enrollments", meterOnly, mediaJSON, enrollment("device", csr), http.StatusForbidden, pki.Forbidden},
		{"batch outside the token's scope", http.MethodPost, "/batches?endpoint=device", meterOnly, mediaPEM, strings.NewReader("x"), http.StatusForbidden, pki.Forbidden},
		forbidden("auditor revokes", http.MethodPost, revoke, auditor, `{"reason":"superseded"}`),
		forbidden("factory revokes", http.MethodPost, revoke, factory, `{"reason":"superseded"}`),
		forbidden("auditor makes a token", http.MethodPost, "/tokens", auditor, newToken),
		forbidden("factory makes a token", http.MethodPost, "/tokens", factory, newToken),
		forbidden("factory makes an authority", http.MethodPost, "/authorities", factory, `{"name":"new","common_name":"New","kind":"issuing","parent":"root"}`),
		forbidden("factory publishes a profile", http.MethodPost, "/profiles", factory, `{"source":"profile: x"}`),
		forbidden("factory makes an endpoint", http.MethodPost, "/endpoints", factory, `{"name":"new","authority":"manufacturing","profile":"meter"}`),
		forbidden("factory reads events", http.MethodGet, "/events", factory, ""),
		forbidden("administrator lists tenants", http.MethodGet, "/tenants", "", ""),
		forbidden("administrator blocks keys", http.MethodPost, "/blocklist", "", `{"hashes":["`+strings.Repeat("0", 64)+`"]}`),
		forbidden("operator reads certificates", http.MethodGet, "/certificates", operator, ""),
		{"administrator makes an operator", http.MethodPost, "/tokens", "", mediaJSON, strings.NewReader(`{"name":"more","role":"platform-operator"}`), http.StatusBadRequest, pki.Malformed},
	}
}

// testBadRows submits bad rows: each is refused for itself, and the batch is done.
func testBadRows(t *testing.T, h *house) {
	var ndjson, concatenated strings.Builder
	var kinds []pki.Kind
	for _, bad := range pandotest.BadCSRs(t) {
		fmt.Fprintf(&ndjson, "{\"device\":\"SM-1\",\"csr\":%q}\n", base64.StdEncoding.EncodeToString(bad.DER))
		if err := pem.Encode(&concatenated, &pem.Block{Type: "CERTIFICATE REQUEST", Bytes: bad.DER}); err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, bad.Kind)
	}
	lines := []string{
		`{"csr":"AA==","csr":"AA=="}`, `{"csr":"AA==","validity":"99y"}`, `{"csr":1}`, `{"csr":"AA=="`, `null`, `[]`, `"x"`, `{}`,
		strings.Repeat("[", 100_000), strings.Repeat("{\"attributes\":", 10_000), "{\"csr\":\"\xff\"}", "\x00",
	}
	malformed := make([]pki.Kind, len(lines))
	for i := range malformed {
		malformed[i] = pki.Malformed
	}
	for _, c := range []struct {
		name   string
		format client.Format
		body   io.Reader
		kinds  []pki.Kind
	}{
		{"requests in NDJSON", client.NDJSON, strings.NewReader(ndjson.String()), kinds},
		{"requests in PEM", client.PEM, strings.NewReader(concatenated.String()), kinds},
		{"lines", client.NDJSON, strings.NewReader(strings.Join(lines, "\n")), malformed},
		{"one line of 100 MB", client.NDJSON, endless('{', 100<<20), []pki.Kind{pki.Malformed}},
		{"one block of 100 MB", client.PEM, io.MultiReader(strings.NewReader("-----BEGIN CERTIFICATE REQUEST-----\n"), endless('A', 100<<20)), []pki.Kind{pki.Malformed}},
		{"a certificate", client.PEM, strings.NewReader("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"), []pki.Kind{pki.Malformed}},
	} {
		api := h.as(t, "")
		b, err := api.Submit(t.Context(), client.Submission{Endpoint: "meter", Format: c.format}, c.body)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for b = range api.Watch(t.Context(), b.ID) {
			if b == nil {
				t.Fatalf("%s: no word of the batch", c.name)
			}
		}
		if n := int64(len(c.kinds)); b.State != client.Done || b.Rows != n || b.Refused != n {
			t.Errorf("%s: the batch of %d rows is %s with %d refused, want %d", c.name, b.Rows, b.State, b.Refused, n)
		}
		n := 0
		for r, err := range api.Results(t.Context(), b.ID, 0) {
			if err != nil {
				t.Fatal(err)
			}
			if n < len(c.kinds) && (r.Status != client.RowRefused || r.Kind != c.kinds[n].String() || r.Reason == "") {
				t.Errorf("%s, row %d: %s, kind %q: %s; want it refused, kind %q", c.name, r.Row, r.Status, r.Kind, r.Reason, c.kinds[n])
			}
			n++
		}
	}
}
