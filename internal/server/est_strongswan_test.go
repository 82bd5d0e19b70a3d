//go:build system

package server

import (
	"crypto/x509/pkix"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/trust"
)

// TestESTByStrongSwan: strongSwan's pki fetches the authorities' certificates and
// renews a certificate, with a P-256 and with an RSA key.
func TestESTByStrongSwan(t *testing.T) {
	cfg := newConfig(t)
	cfg.EST.Default = "acme.device" // strongSwan knows no labels
	s := open(t, cfg, time.Now)
	run(t, s)
	st := furnish(t, s, "acme", "device")
	takesEST(t, s, st, "acme", "device")
	dir := t.TempDir()
	c := caller{t: t, s: s}
	c.trust("acme", trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "device"}}})
	for kind, generate := range map[pki.KeyKind]string{pki.P256: "--type ecdsa --size 256", pki.RSA2048: "--type rsa --size 2048"} {
		c.key = pandotest.Key(t, kind)
		csr := pandotest.CSR(t, c.key, pkix.Name{CommonName: "gw-1.example"}, "gw-1.example")
		got, err := s.enroll.Enroll(t.Context(), enroll.Request{Grant: st.Permit(t, "acme", access.Enroll), Endpoint: "device", Protocol: pki.ProtocolREST, Subject: enroll.Subject{CSR: csr}})
		if err != nil {
			t.Fatal(err)
		}
		c.chain = append([][]byte{got.Certificate.DER}, got.Chain...)
		writeIdentity(t, c, dir)
		if err := os.WriteFile(filepath.Join(dir, "first.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: got.Certificate.DER}), 0o600); err != nil {
			t.Fatal(err)
		}
		script := exec.Command("bash", "-euxo", "pipefail", "-c", `
			pki --estca --url $EST --cacert $TLS_CA --caout ca.pem --outform pem --force
			ls
			pki --gen `+generate+` --outform pem > new.key
			pki --req --in new.key --dn "CN=gw-1.example" --san gw-1.example --outform der > new.csr
			pki --est --url $EST --in new.csr --cacert $TLS_CA --cert first.pem --key meter.key --outform pem > new.pem
			openssl x509 -in new.pem -noout -subject -ext subjectAltName`)
		script.Dir = dir
		script.Env = append(os.Environ(), "TLS_CA="+filepath.Join(s.cfg.Data, BootstrapFile), "EST="+s.URL("devices"))
		out, err := script.CombinedOutput()
		t.Logf("%s", out)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(out), "CN = gw-1.example") {
			t.Errorf("%s", out)
		}
	}
}
