package simulate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

func TestPlant(t *testing.T) {
	for _, format := range []client.Format{client.PEM, client.NDJSON} {
		t.Run(string(format), func(t *testing.T) {
			s, c := newFakeServer(t)
			var results, acknowledged bytes.Buffer
			stages := make(map[Stage]int64)
			report, err := Plant(t.Context(), PlantConfig{
				Client: c, Endpoint: "meter", Devices: Devices{Prefix: "SM-", Count: 100}, Root: s.root.Certificate,
				Format: format, ProductLine: "E350", Lot: "L7", Site: "Brno", Idempotency: "wo-1",
				Results: &results, Acknowledged: &acknowledged,
				OnProgress: func(p PlantProgress) { stages[p.Stage] = p.Done },
			})
			if err != nil {
				t.Fatal(err)
			}
			want := &PlantReport{Batch: "b1", Devices: 100, Issued: 100}
			if diff := cmp.Diff(want, report, cmpopts.IgnoreFields(PlantReport{}, "Started", "Seconds", "Rate", "Samples")); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[Stage]int64{Submitting: 100, Issuing: 100, Verifying: 100}, stages); diff != "" {
				t.Errorf("progress (-want +got):\n%s", diff)
			}
			wantQuery := url.Values{"endpoint": {"meter"}, "product_line": {"E350"}, "lot": {"L7"}, "site": {"Brno"}}.Encode()
			if s.query != wantQuery || s.key != "wo-1" {
				t.Errorf("submitted with %s and key %q, want %s and wo-1", s.query, s.key, wantQuery)
			}
			if got := bytes.Count(results.Bytes(), []byte("BEGIN CERTIFICATE")); got != 100 || !bytes.HasPrefix(results.Bytes(), []byte("# row 1 device SM-000001\n-----BEGIN")) {
				t.Errorf("got %d certificates in the results, which begin %.60q", got, results.String())
			}
			if got := bytes.Count(acknowledged.Bytes(), []byte("\n")); got != 100 {
				t.Errorf("got %d acknowledgements, want 100", got)
			}
			checkSamples(t, report.Samples)
		})
	}
}

// checkSamples checks that each sample's key is that of its certificate.
func checkSamples(t *testing.T, samples []Sample) {
	t.Helper()
	if len(samples) != few {
		t.Fatalf("got %d samples, want %d", len(samples), few)
	}
	for i, sample := range samples {
		cert, err := certificateFromPEM([]byte(sample.Certificate))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode([]byte(sample.Key.Reveal()))
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if !key.(*ecdsa.PrivateKey).PublicKey.Equal(cert.PublicKey) || sample.Device != (Devices{Prefix: "SM-"}).ID(i) {
			t.Errorf("sample %d, %s: the key is not the certificate's", i, sample.Device)
		}
	}
}

// TestPlantSeesWhatIsWrong spoils one row and expects exactly that fault.
func TestPlantSeesWhatIsWrong(t *testing.T) {
	s, c := newFakeServer(t)
	other := pandotest.NewRoot(t, "root", time.Now()).NewIssuing(t, "manufacturing", time.Now())
	stranger := pandotest.Key(t, pki.P256).Public()
	tests := []struct {
		name  string
		spoil func(r *client.Result, csr *x509.CertificateRequest)
		fault string
	}{
		{"another key", func(r *client.Result, csr *x509.CertificateRequest) {
			s.certify(r, s.issuing, stranger, r.Device, r.Device)
		}, "it is for another key"},
		{"another subject", func(r *client.Result, csr *x509.CertificateRequest) {
			s.certify(r, s.issuing, csr.PublicKey, "SM-999999", r.Device)
		}, "serialNumber"},
		{"another hardware name", func(r *client.Result, csr *x509.CertificateRequest) {
			s.certify(r, s.issuing, csr.PublicKey, r.Device, "SM-999999")
		}, "hardwareModuleName"},
		{"another CA", func(r *client.Result, csr *x509.CertificateRequest) {
			s.certify(r, other, csr.PublicKey, r.Device, r.Device)
		}, "certificate signed by unknown authority"},
		{"no certificate", func(r *client.Result, csr *x509.CertificateRequest) { r.Certificate = "none" }, "not a PEM certificate"},
		{"another serial number said", func(r *client.Result, csr *x509.CertificateRequest) { r.Serial = "01" }, "serial number 01"},
		{"another device said", func(r *client.Result, csr *x509.CertificateRequest) { r.Device = "SM-1" }, "device SM-1"},
		{"row out of range", func(r *client.Result, csr *x509.CertificateRequest) { r.Row = 6 }, "no such row"},
		{"row twice", func(r *client.Result, csr *x509.CertificateRequest) { r.Row = 4 }, "twice"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s.spoil = func(r *client.Result, csr *x509.CertificateRequest) {
				if r.Row == 5 {
					test.spoil(r, csr)
				}
			}
			report, err := Plant(t.Context(), PlantConfig{
				Client: c, Endpoint: "meter", Devices: Devices{Prefix: "SM-", Count: 5}, Root: s.root.Certificate,
			})
			if err != nil {
				t.Fatal(err)
			}
			if report.Wrong != 1 || len(report.Faults) != 1 || !strings.Contains(report.Faults[0], test.fault) {
				t.Errorf("got %d wrong, %q, want 1 with %q", report.Wrong, report.Faults, test.fault)
			}
		})
	}
}

func TestPlantReportsRefusals(t *testing.T) {
	s, c := newFakeServer(t)
	s.spoil = func(r *client.Result, _ *x509.CertificateRequest) {
		if r.Row == 1 {
			*r = client.Result{Row: 1, Device: r.Device, Status: client.RowRefused, Kind: "duplicate-key", Reason: "the key is known"}
		}
	}
	report, err := Plant(t.Context(), PlantConfig{
		Client: c, Endpoint: "meter", Devices: Devices{Prefix: "SM-", Count: 5}, Root: s.root.Certificate,
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"row 1, SM-000001: duplicate-key: the key is known"}, report.Refusals); diff != "" || report.Issued != 4 || report.Refused != 1 {
		t.Errorf("got %d issued, %d refused; refusals (-want +got):\n%s", report.Issued, report.Refused, diff)
	}
	if report.Samples[0].Device != "SM-000002" {
		t.Errorf("the first sample is %s, want the first that was issued", report.Samples[0].Device)
	}
}

func TestPlantMissesRows(t *testing.T) {
	s, c := newFakeServer(t)
	s.spoil = func(r *client.Result, _ *x509.CertificateRequest) {
		if r.Row == 2 {
			*r = client.Result{Row: 2, Status: client.RowCancelled}
		}
	}
	report, err := Plant(t.Context(), PlantConfig{
		Client: c, Endpoint: "meter", Devices: Devices{Prefix: "SM-", Count: 3}, Root: s.root.Certificate,
	})
	if err != nil || report.Missing != 1 || report.Issued != 2 {
		t.Errorf("got %+v and %v, want one that is missing", report, err)
	}
}

func TestPlantBearsWithARestart(t *testing.T) {
	s, c := newFakeServer(t)
	s.failures = 5 // more than the client itself asks again
	report, err := Plant(t.Context(), PlantConfig{
		Client: c, Endpoint: "meter", Devices: Devices{Prefix: "SM-", Count: 3}, Root: s.root.Certificate,
	})
	if err != nil || report.Issued != 3 {
		t.Errorf("got %+v and %v", report, err)
	}
}

func TestPlantRefusesAnotherRoot(t *testing.T) {
	s, c := newFakeServer(t)
	_, err := Plant(t.Context(), PlantConfig{
		Client: c, Endpoint: "meter", Devices: Devices{Prefix: "SM-", Count: 3},
		Root: pandotest.NewRoot(t, "root", time.Now()).Certificate,
	})
	if err == nil || !strings.Contains(err.Error(), "does not chain to the root given") {
		t.Errorf("got %v", err)
	}
	if s.query != "" {
		t.Error("it submitted a batch all the same")
	}
}

func TestPlantStopsWhereAKeyIsThere(t *testing.T) {
	s, c := newFakeServer(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "SM-000002.key"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Plant(t.Context(), PlantConfig{
		Client: c, Endpoint: "meter", Devices: Devices{Prefix: "SM-", Count: 3}, Root: s.root.Certificate, KeyDir: dir,
	})
	if !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v, want that the file exists", err)
	}
}

func TestPlantSaysWhatTheServerSays(t *testing.T) {
	s, c := newFakeServer(t)
	s.refusal = &client.Problem{Status: http.StatusConflict, Kind: "conflict", Detail: "another file came under this key"}
	_, err := Plant(t.Context(), PlantConfig{
		Client: c, Endpoint: "meter", Devices: Devices{Prefix: "SM-", Count: 20_000}, Root: s.root.Certificate,
	})
	if p, ok := errors.AsType[*client.Problem](err); !ok || p.Kind != "conflict" {
		t.Errorf("got %v, want the server's problem", err)
	}
}
