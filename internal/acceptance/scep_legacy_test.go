//go:build system

package acceptance

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	"github.com/smallstep/scep"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pandotest/scepclient"
)

// legacyUse is what the log says of a message that only the legacy switch takes.
const legacyUse = "SCEP with legacy algorithms or nonces"

// TestSCEPLegacySwitch: as long as an endpoint takes SHA-1, DES, 3DES and other nonces an
// alarm stands, and each message that needs that is a line in the server's log, by endpoint
// and source and without its challenge; a modern one is none. Where it is off such messages
// are refused and lead to nothing.
func TestSCEPLegacySwitch(t *testing.T) {
	h := newHouse(t, 2)
	h.serve(t)
	for name, protocols := range map[string][]string{"old": {"scep", "scep-legacy"}, "new": {"scep"}} {
		if _, err := h.as(t, "").CreateEndpoint(t.Context(), client.NewEndpoint{Name: name, Authority: "operations", Profile: "device", Protocols: protocols}); err != nil {
			t.Fatal(err)
		}
	}
	h.stop(t) // a server looks for what is wrong when it starts, and then each minute
	h.serve(t)
	for begun := time.Now(); !h.alarmed(t, "scep.legacy", "endpoint:old"); time.Sleep(50 * time.Millisecond) {
		if time.Since(begun) > late {
			t.Fatal("no alarm for the endpoint that takes legacy messages")
		}
	}
	if h.alarmed(t, "scep.legacy", "endpoint:new") {
		t.Error("an alarm for an endpoint that takes none")
	}
	b := h.newBench(t)
	for _, endpoint := range []string{"old", "new"} {
		made, err := h.as(t, "").CreateSecret(t.Context(), client.NewSecret{Endpoint: endpoint, LifeSeconds: 3600})
		if err != nil {
			t.Fatal(err)
		}
		challenge := made.Secret.Reveal()
		for i, c := range []struct {
			what     string
			digest   string // "" is SHA-256
			cipher   string // of openssl; "" is AES
			nonce    int
			legacy   bool
			failInfo scep.FailInfo // where the endpoint takes none
		}{
			{what: "modern", nonce: 16},
			{what: "SHA-1", digest: "sha1", nonce: 16, legacy: true, failInfo: scep.BadAlg},
			{what: "3DES", cipher: "des3", nonce: 16, legacy: true, failInfo: scep.BadAlg},
			{what: "a nonce of 8 octets", nonce: 8, legacy: true, failInfo: scep.BadRequest},
		} {
			t.Run(endpoint+"/"+c.what, func(t *testing.T) {
				device := scepclient.New(t, h.file.HTTP+"/scep/demo."+endpoint)
				name := endpoint + "-" + strconv.Itoa(i)
				csr := scepclient.CSR(t, device.Key, name, challenge)
				envelope := device.Seal(csr)
				if c.cipher != "" {
					envelope = b.seal(t, csr, device.Recipient()[0], c.cipher)
				}
				if c.digest != "" {
					if err := pkcs7.SetDefaultDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA1); err != nil {
						t.Fatal(err)
					}
				}
				before := len(h.logged(t, legacyUse))
				got := device.Post(device.Message(19, name, scepclient.Nonce()[:c.nonce], envelope))
				lines := h.logged(t, legacyUse)[before:]
				if c.legacy && endpoint == "new" {
					if got.PKIStatus != scep.FAILURE || got.FailInfo != c.failInfo || len(lines) > 0 {
						t.Errorf("status %s, failInfo %q, logged: %q", got.PKIStatus, got.FailInfo, lines)
					}
					h.have(t, 0, name)
					return
				}
				if got.PKIStatus != scep.SUCCESS {
					t.Fatalf("status %s, failInfo %q", got.PKIStatus, got.FailInfo)
				}
				h.have(t, 1, name)
				if !c.legacy {
					if len(lines) > 0 {
						t.Errorf("logged: %q", lines)
					}
					return
				}
				if len(lines) != 1 {
					t.Fatalf("%d lines of one message: %q", len(lines), lines)
				}
				for _, want := range []string{"WARN", "demo." + endpoint, "PKCSReq", "127.0.0.1:"} {
					if !strings.Contains(lines[0], want) {
						t.Errorf("no %q in %s", want, lines[0])
					}
				}
				if strings.Contains(lines[0], challenge) {
					t.Errorf("the challenge is in the log")
				}
			})
		}
	}
	h.stop(t)
	h.check(t, "")
}

// seal returns an envelope that openssl makes, for one recipient with a cipher.
func (b bench) seal(t *testing.T, content []byte, to *x509.Certificate, cipher string) []byte {
	t.Helper()
	writeFile(t, b.dir, "content", content)
	writeFile(t, b.dir, "to.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: to.Raw}))
	b.run(t, "openssl cms -encrypt -binary -outform DER -in content -"+cipher+" -out envelope to.pem")
	envelope, err := os.ReadFile(filepath.Join(b.dir, "envelope"))
	if err != nil {
		t.Fatal(err)
	}
	return envelope
}

// alarmed reports whether an alarm of the tenant's stands.
func (h *house) alarmed(t *testing.T, name, target string) bool {
	t.Helper()
	all, err := h.as(t, "").Alarms(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(all, func(a client.Alarm) bool { return a.Name == name && a.Target == target })
}

// logged returns the lines of the servers' log that have a text.
func (h *house) logged(t *testing.T, text string) (lines []string) {
	t.Helper()
	all, err := os.ReadFile(h.log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(all)) {
		if strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return lines
}
