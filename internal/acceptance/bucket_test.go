//go:build system

package acceptance

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pandotest/s3server"
)

// buckets has CRLs published to a bucket, and the log anchored there, too. It belongs
// behind the status of a quickstart's configuration.
const buckets = `  publish:
    - name: cdn
      bucket: {endpoint: "%[1]s", bucket: %[2]s, prefix: %[3]s, region: %[4]s, credentials: "file:s3.credentials"}
audit:
  anchors:
    - file: anchor
    - bucket: {endpoint: "%[1]s", bucket: %[2]s, prefix: log, region: %[4]s, credentials: "file:s3.credentials"}
  anchor_every: 10s
  anchor_bound: 20s
`

// TestBucket keeps CRLs and the log's checkpoints at an S3 service that others made,
// and has those who depend on them be served by it alone: relying parties get CRLs with
// curl and without credentials, and judge with openssl; an auditor holds the log's export
// against the checkpoint that the bucket's owner gives out. Then the service is killed.
// The server works on, says so, and brings what is missing when the service is back.
func TestBucket(t *testing.T) {
	s3 := s3server.New(t)
	h := newHouse(t, 6)
	h.configure(t, fmt.Sprintf(buckets, s3.URL, s3.Bucket, s3server.Public, s3server.Region))
	credentials := fmt.Sprintf("AWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\n", s3server.AccessKeyID, s3server.SecretAccessKey)
	writeFile(t, h.data(), "s3.credentials", []byte(credentials))
	h.serve(t)

	r := &relying{house: h, s3: s3, dir: t.TempDir()}
	good, revoked := h.file.Samples.Good, h.file.Samples.Revoked
	r.until(t, good, ": OK")
	r.until(t, revoked, "certificate revoked")
	certificate := r.url(readCertificates(t, good)[0].IssuingCertificateURL[0])
	if kind := r.get(t, "ca.cer", certificate); kind != "application/pkix-cert" {
		t.Errorf("%s is %q", certificate, kind)
	}
	expect(t, r.dir, []string{"Manufacturing"}, "openssl", "x509", "-inform", "DER", "-in", "ca.cer", "-noout", "-subject")
	h.issue(t, r.dir, "BEFORE-") // an anchor gets what comes while it is one
	h.anchored(t, s3)
	if out := run(t, r.dir, "curl", "-sS", "--fail", s3.URL+"/"+s3.Bucket+"/log/first"); out.status == 0 || !strings.Contains(out.stderr, "403") {
		t.Errorf("everybody may read what is not public: %+v", out)
	}

	s3.Kill(t)
	killed := time.Now()
	expect(t, r.dir, nil, os.Getenv(binaryVariable), "--quickstart", h.dir, "cert", "revoke", readCertificates(t, good)[0].SerialNumber.Text(16), "--reason", "superseded")
	for h.alarms(t)["publish.late"].Name == "" || h.alarms(t)["anchor.late"].Name == "" {
		if time.Since(killed) > hung {
			t.Fatalf("without its bucket for %s the server has the alarms %v", hung, slices.Collect(maps.Keys(h.alarms(t))))
		}
		time.Sleep(pause)
	}
	t.Logf("alarms after %s: %s; %s", time.Since(killed).Round(time.Second), h.alarms(t)["publish.late"].What, h.alarms(t)["anchor.late"].What)
	// The other anchor is enough for issuance, and OCSP is not the bucket's.
	h.issue(t, r.dir, "MEANWHILE-")
	a := h.file.Authorities["manufacturing"]
	expect(t, r.dir, []string{"Response verify OK", good + ": revoked"},
		"openssl", "ocsp", "-issuer", a.Chain, "-CAfile", h.file.Root, "-url", a.OCSP, "-cert", good)

	s3.Start(t)
	back := time.Now()
	r.until(t, good, "certificate revoked")
	t.Logf("the CRL is there %s after the service is back", time.Since(back).Round(time.Second))
	for {
		standing := h.alarms(t)
		maps.DeleteFunc(standing, func(name string, _ client.Alarm) bool {
			return name != "publish.late" && name != "publish.refused" && name != "anchor.late" && name != "status.unreachable"
		})
		if len(standing) == 0 {
			break
		}
		if time.Since(back) > hung {
			t.Fatalf("%s after the service is back there are the alarms %v", hung, standing)
		}
		time.Sleep(pause)
	}
	h.anchored(t, s3)
	h.stop(t)
	h.serve(t) // what the bucket has is what the database has
	h.stop(t)
	h.check(t, "")
}

// issue has three meters get certificates.
func (h *house) issue(t *testing.T, dir, prefix string) {
	t.Helper()
	expect(t, dir, nil, os.Getenv(binaryVariable), "simulate", "csrs", "--devices", "3", "--prefix", prefix, "--out", prefix+".pem")
	expect(t, dir, nil, os.Getenv(binaryVariable), "--quickstart", h.dir, "batch", "submit", prefix+".pem", "--endpoint", "meter", "--wait")
}

// A relying party has a bucket's CRLs alone.
type relying struct {
	house *house
	s3    *s3server.Server
	dir   string
}

// url returns where in the bucket is what a certificate names at the status URL.
func (r *relying) url(named string) string {
	return strings.Replace(named, r.house.file.HTTP, r.s3.URL+"/"+r.s3.Bucket+"/"+s3server.Public, 1)
}

// get gets a URL without credentials, when it is there, and returns its media type.
func (r *relying) get(t *testing.T, file, url string) (kind string) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(pause) {
		out := run(t, r.dir, "curl", "--silent", "--show-error", "--fail", "--output", file, "--write-out", "%{content_type}", url)
		if out.status == 0 {
			return out.stdout
		}
		if !strings.Contains(out.stderr, "404") || time.Since(begun) > hung {
			t.Fatalf("curl %s after %s: %d %s", url, time.Since(begun), out.status, out.stderr)
		}
	}
}

// until has openssl judge a certificate by the CRL that it names until it says so.
func (r *relying) until(t *testing.T, certificate, say string) {
	t.Helper()
	from := r.url(readCertificates(t, certificate)[0].CRLDistributionPoints[0])
	for begun := time.Now(); ; time.Sleep(pause) {
		if kind := r.get(t, "pointer.crl", from); kind != "application/pkix-crl" {
			t.Fatalf("%s is %q", from, kind)
		}
		out := run(t, r.dir, "openssl", "verify", "-x509_strict", "-crl_check", "-CAfile", r.house.file.Root,
			"-untrusted", r.house.file.Authorities["manufacturing"].Chain, "-CRLfile", "pointer.crl", certificate)
		if strings.Contains(out.stdout+out.stderr, say) {
			return
		}
		if time.Since(begun) > hung {
			t.Fatalf("after %s %s does not say %q of %s, but %+v", hung, from, say, certificate, out)
		}
	}
}

// anchored waits until the bucket has a checkpoint of all that the tenant's log has now,
// and holds an export of the log against it.
func (h *house) anchored(t *testing.T, s3 *s3server.Server) {
	t.Helper()
	now, err := h.as(t, "").Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	origin, entries := head(t, now.Checkpoint)
	newest := ""
	for begun := time.Now(); ; time.Sleep(pause) {
		if newest, err = s3.Curl("log/" + origin + "/newest"); err == nil {
			if of, n := head(t, newest); of == origin && n >= entries {
				break
			}
		}
		if time.Since(begun) > hung {
			t.Fatalf("after %s the bucket's newest checkpoint is\n%s\n(%v), and the server's was\n%s", hung, newest, err, now.Checkpoint)
		}
	}
	dir := t.TempDir()
	writeFile(t, dir, "newest", []byte(newest))
	expect(t, dir, nil, os.Getenv(binaryVariable), "--quickstart", h.dir, "audit", "export", "--out", "log.ndjson")
	expect(t, dir, []string{"1 compared"}, os.Getenv(binaryVariable), "audit", "verify", "log.ndjson", "--since", "newest", "--key", now.Key)
}

// head returns of which log a checkpoint is, and of how many entries.
func head(t *testing.T, checkpoint string) (origin string, entries int) {
	t.Helper()
	lines := strings.SplitN(checkpoint, "\n", 3)
	if len(lines) != 3 {
		t.Fatalf("this is no checkpoint: %q", checkpoint)
	}
	entries, err := strconv.Atoi(lines[1])
	if err != nil {
		t.Fatal(err)
	}
	return lines[0], entries
}
