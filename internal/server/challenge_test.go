package server

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/scep"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/scepclient"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// by returns a client of the server's API with a token of a role.
func by(t *testing.T, s *Server, st *stack.Stack, role access.Role) *client.Client {
	t.Helper()
	_, token, err := s.tokens.Create(t.Context(), st.Permit(t, "acme", access.ManageTokens), access.NewToken{Name: string(role), Role: role})
	if err != nil {
		t.Fatal(err)
	}
	over := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: bootstrapOf(t, s)}}}
	t.Cleanup(over.CloseIdleConnections)
	c, err := client.New(client.Config{Server: s.URL("https"), Token: client.TokenOf(token.Reveal()), HTTPClient: over})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// shownBlanked reports an error unless a request in PEM is another but for its challenge and
// its signature, which would tell whether a guess at that is right.
func shownBlanked(t *testing.T, shown string, csr []byte, challenge string) {
	t.Helper()
	block, _ := pem.Decode([]byte(shown))
	if block == nil {
		t.Fatalf("no request: %q", shown)
	}
	want := bytes.Replace(csr, []byte(challenge), bytes.Repeat([]byte("*"), len(challenge)), 1)
	if parsed, err := x509.ParseCertificateRequest(csr); err != nil {
		t.Error(err)
	} else {
		copy(want[len(want)-len(parsed.Signature):], bytes.Repeat([]byte("*"), len(parsed.Signature)))
	}
	if !bytes.Equal(block.Bytes, want) || bytes.Equal(want, csr) {
		t.Errorf("shown as %x, want %x", block.Bytes, want)
	}
}

// TestChallengeIsNotKept: whoever reads certificates, or the data directory, finds no
// challenge by which more devices enrol, whatever way the request came.
func TestChallengeIsNotKept(t *testing.T) {
	cfg := newConfig(t)
	s := open(t, cfg, time.Now)
	run(t, s)
	st := furnish(t, s, "acme", "device", "meter")
	takesSCEP(t, s, st, "device")
	auditor := by(t, s, st, access.Auditor)
	_, secret, err := s.secrets.Create(t.Context(), st.Permit(t, "acme", access.ManageSecrets), enrolauth.NewSecret{Endpoint: "device", Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	challenge := secret.Reveal()
	trace := func(serial string) *client.Trace {
		t.Helper()
		got, err := auditor.TraceCertificate(t.Context(), "", serial)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	c := newSCEP(t, s, "acme.device")
	csr := scepclient.CSR(t, c.Key, "gateway-1", challenge)
	answer := c.Ask(scep.PKCSReq, csr)
	if answer.PKIStatus != scep.SUCCESS {
		t.Fatalf("status %s, failInfo %q", answer.PKIStatus, answer.FailInfo)
	}
	serial, err := pki.SerialFromBytes(answer.Certificate.SerialNumber.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	got := trace(serial.String())
	shownBlanked(t, got.CSR, csr, challenge)
	kept, _, err := s.store.Request(t.Context(), pki.IssuerID(got.Certificate.Issuer), serial)
	if err != nil || len(kept) == 0 || bytes.Contains(kept, []byte(challenge)) {
		t.Errorf("kept: %q, %v", kept, err)
	}

	const text = "by REST, with some text"
	attribute := pandotest.Attribute{OID: der.OIDChallengePassword, Value: der.Append(nil, asn1.UTF8String, []byte(text))}
	csr = pandotest.CSRWith(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: "SM-1"}, attribute)
	request := enroll.Request{Grant: st.Permit(t, "acme", access.Enroll), Endpoint: "meter", Protocol: pki.ProtocolREST, Idempotency: "order 1", Subject: enroll.Subject{CSR: csr}}
	first, err := s.enroll.Enroll(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	shownBlanked(t, trace(first.Certificate.Serial.String()).CSR, csr, text)
	if again, err := s.enroll.Enroll(t.Context(), request); err != nil || !again.Repeated || again.Certificate.Serial != first.Certificate.Serial {
		t.Errorf("the same request again: %+v, %v", again, err)
	}
	request.CSR = tbs.BlankChallenge(csr)
	if _, err := s.enroll.Enroll(t.Context(), request); pki.KindOf(err) != pki.BadProof {
		t.Errorf("a request as it is kept: %v", err)
	}
	err = filepath.WalkDir(cfg.Data, func(path string, d fs.DirEntry, err error) error {
		var content []byte
		if err == nil && d.Type().IsRegular() {
			content, err = os.ReadFile(path)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // one that was there for a moment is not kept
			return err
		}
		if bytes.Contains(content, []byte(challenge)) || bytes.Contains(content, []byte(text)) {
			t.Errorf("%s has a challenge", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}

	// A batch's rows stay as they were uploaded until they are deleted, and are not shown so.
	csr = pandotest.CSRWith(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: "SM-2"}, attribute)
	upload := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})
	b, err := s.batch.Submit(t.Context(), st.Permit(t, "acme", access.ManageBatches), batch.Submission{Endpoint: "meter", Format: batch.PEM}, bytes.NewReader(upload))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range s.batch.Watch(t.Context(), st.Permit(t, "acme", access.ReadBatches), b.ID) {
		if err != nil {
			t.Fatal(err)
		}
	}
	found, err := auditor.Certificates(t.Context(), client.CertificateQuery{Device: "SM-2"}, "", 1)
	if err != nil || len(found.Items) != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	shownBlanked(t, trace(found.Items[0].Serial).CSR, csr, text)
}

// guardedSCEP is a profile whose enrolments wait for a security officer.
const guardedSCEP = `profile: guarded
approvals:
  steps: [1 of security-officer]
  expire: 1h
keys: {allow: [rsa2048]}
validity: 1y
subject: [{type: CN, from: csr.subject.cn, check: name}]
extendedKeyUsage: {use: [clientAuth]}
keyIdentifiers: [subject, authority]
`

// furnishGuarded is furnish for acme, with an endpoint for SCEP whose enrolments wait.
func furnishGuarded(t *testing.T, s *Server) *stack.Stack {
	t.Helper()
	st := furnish(t, s, "acme")
	if _, err := s.hierarchy.PublishProfile(t.Context(), st.Permit(t, "acme", access.ManageProfiles), []byte(guardedSCEP)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.enroll.CreateEndpoint(t.Context(), st.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{
		Name: "guarded", Authority: "issuing", Profile: "guarded", Protocols: []pki.Protocol{pki.ProtocolSCEP}}); err != nil {
		t.Fatal(err)
	}
	return st
}

// TestChallengeIsNotShown: whoever decides on a request does not read its challenge, and
// the hash that they decide on is of what they read.
func TestChallengeIsNotShown(t *testing.T) {
	cfg := newConfig(t)
	s := open(t, cfg, time.Now)
	run(t, s)
	st := furnishGuarded(t, s)
	_, secret, err := s.secrets.Create(t.Context(), st.Permit(t, "acme", access.ManageSecrets), enrolauth.NewSecret{Endpoint: "guarded", Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	c := newSCEP(t, s, "acme.guarded")
	csr := scepclient.CSR(t, c.Key, "gateway-1", secret.Reveal())
	if asked := c.Ask(scep.PKCSReq, csr); asked.PKIStatus != scep.PENDING {
		t.Fatalf("status %s, failInfo %q", asked.PKIStatus, asked.FailInfo)
	}
	for _, name := range []string{"pando.db", "pando.db-wal"} {
		content, err := os.ReadFile(filepath.Join(cfg.Data, name))
		if err != nil || bytes.Contains(content, []byte(secret.Reveal())) {
			t.Errorf("%s has the challenge of what waits: %v", name, err)
		}
		// The payload of a change is JSON, in which a request is base64: whole it has the
		// challenge in it, and begins as the one that is shown.
		if at := bytes.Index(csr, []byte(secret.Reveal())) / 3 * 3; bytes.Contains(content, []byte(base64.StdEncoding.EncodeToString(csr[at+3:at+3+30]))) {
			t.Errorf("%s has the challenge of what waits, in base64", name)
		}
	}
	officer := by(t, s, st, access.SecurityOfficer)
	waiting, err := officer.Changes(t.Context(), "pending", "", 10)
	if err != nil || len(waiting.Items) != 1 {
		t.Fatalf("%+v, %v", waiting, err)
	}
	change, err := officer.Change(t.Context(), waiting.Items[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	var shown struct {
		CSR []byte `json:"csr"`
	}
	if err := json.Unmarshal([]byte(change.Payload), &shown); err != nil {
		t.Fatal(err)
	}
	shownBlanked(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: shown.CSR})), csr, secret.Reveal())
	if strings.Contains(change.Payload, "withheld") {
		t.Errorf("shown: %s", change.Payload)
	}
	hash := approval.HashOf("acme", approval.Kind(change.Kind), change.Target, []byte(change.Payload))
	done, err := officer.Approve(t.Context(), change.ID, client.NewDecision{Hash: hex.EncodeToString(hash[:])})
	if err != nil || done.State != string(approval.Executed) {
		t.Fatalf("%+v, %v", done, err)
	}
	if got := c.Ask(scep.PKCSReq, csr); got.PKIStatus != scep.SUCCESS {
		t.Errorf("status %s, failInfo %q", got.PKIStatus, got.FailInfo)
	}
}
