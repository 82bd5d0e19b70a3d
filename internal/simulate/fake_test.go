package simulate

import (
	"bufio"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pandotest"
)

// fakeServer speaks as much of the REST API as a plant hears, and issues with
// crypto/x509. A test spoils what it answers.
type fakeServer struct {
	t             *testing.T
	root, issuing *pandotest.CA

	// spoil changes the answer to a request; nil leaves all as they are.
	spoil func(r *client.Result, csr *x509.CertificateRequest)
	// refusal is the answer to a submission, before its body is read.
	refusal *client.Problem

	mu       sync.Mutex
	rows     []client.Result
	query    string // of the submission
	key      string // idempotency key of the submission
	failures int    // answers to events that are cut off yet to come
}

// newFakeServer returns a server and a client for it.
func newFakeServer(t *testing.T) (*fakeServer, *client.Client) {
	t.Helper()
	s := &fakeServer{t: t, root: pandotest.NewRoot(t, "root", time.Now())}
	s.issuing = s.root.NewIssuing(t, "manufacturing", time.Now())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/endpoints/{name}", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(client.Endpoint{Name: r.PathValue("name"), Authority: "a1"})
	})
	mux.HandleFunc("GET /api/v1/authorities/a1/chain", func(w http.ResponseWriter, r *http.Request) {
		w.Write(pandotest.PEM(s.issuing.Chain()...))
	})
	mux.HandleFunc("POST /api/v1/batches", s.submit)
	mux.HandleFunc("GET /api/v1/batches/b1/events", s.events)
	mux.HandleFunc("GET /api/v1/batches/b1/results", s.results)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	c, err := client.New(client.Config{Server: server.URL, HTTPClient: server.Client()})
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

func (s *fakeServer) submit(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusal != nil {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(s.refusal.Status)
		json.NewEncoder(w).Encode(s.refusal)
		return
	}
	s.query, s.key = r.URL.RawQuery, r.Header.Get("Idempotency-Key")
	s.rows = nil
	if r.Header.Get("Content-Type") == "application/x-ndjson" {
		for lines := bufio.NewScanner(r.Body); lines.Scan(); {
			var row struct {
				CSR    []byte
				Device string
			}
			if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
				s.t.Errorf("row %q: %v", lines.Text(), err)
				return
			}
			s.issue(row.CSR)
		}
	} else {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return // the plant broke off
		}
		for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
			s.issue(block.Bytes)
		}
	}
	json.NewEncoder(w).Encode(client.Batch{ID: "b1", State: client.Running, Rows: int64(len(s.rows))})
}

// issue answers one row.
func (s *fakeServer) issue(der []byte) {
	csr, err := x509.ParseCertificateRequest(der)
	if err == nil {
		err = csr.CheckSignature()
	}
	if err != nil {
		s.t.Errorf("row %d: %v", len(s.rows)+1, err)
		return
	}
	row := client.Result{Row: int64(len(s.rows) + 1), Device: csr.Subject.SerialNumber, Status: client.RowIssued}
	s.certify(&row, s.issuing, csr.PublicKey, csr.Subject.SerialNumber, csr.Subject.SerialNumber)
	if s.spoil != nil {
		s.spoil(&row, csr)
	}
	s.rows = append(s.rows, row)
}

// certify puts a certificate into a row.
func (s *fakeServer) certify(row *client.Result, ca *pandotest.CA, key any, subject, hardware string) {
	s.t.Helper()
	name, err := asn1.Marshal(hardwareModuleName{asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 1, 1}, []byte(hardware)})
	if err != nil {
		s.t.Fatal(err)
	}
	value, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: name})
	if err != nil {
		s.t.Fatal(err)
	}
	oid, err := asn1.Marshal(oidHardwareModuleName)
	if err != nil {
		s.t.Fatal(err)
	}
	san, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: append(oid, value...)}})
	if err != nil {
		s.t.Fatal(err)
	}
	cert := ca.Sign(s.t, &x509.Certificate{
		Subject: pkix.Name{SerialNumber: subject}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		ExtraExtensions: []pkix.Extension{{Id: oidSubjectAltName, Critical: row.Row%2 == 0, Value: san}},
	}, key)
	row.Issuer, row.Certificate = "i1", string(pandotest.PEM(cert))
	row.Serial = fmt.Sprintf("%x", pandotest.Parse(s.t, cert).SerialNumber.Bytes())
}

func (s *fakeServer) events(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream")
	batch, err := json.Marshal(client.Batch{ID: "b1", State: client.Done, Rows: int64(len(s.rows)), Issued: int64(len(s.rows))})
	if err != nil {
		s.t.Error(err)
	}
	if s.failures > 0 {
		s.failures--
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintf(w, "event: progress\ndata: %s\n\nevent: end\ndata: {}\n\n", batch)
}

func (s *fakeServer) results(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-ndjson")
	for _, row := range s.rows {
		json.NewEncoder(w).Encode(row)
	}
}
