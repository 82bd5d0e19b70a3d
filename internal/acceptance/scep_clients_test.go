//go:build system

package acceptance

import (
	"strings"
	"testing"
)

// TestSCEPClients: clients that are not ours enrol by SCEP at the server of a quickstart,
// and what the operator's page tells them runs as it stands there.
func TestSCEPClients(t *testing.T) {
	h := newHouse(t, 2)
	h.serve(t)
	page := recipes(t, "scep.md", 3)
	t.Run("strongswan", func(t *testing.T) {
		refused := `! pki --scep --url "$URL" --in router-next.key --dn CN=router-2 --password wrong \
			--cacert-enc $seal --cacert-sig $signer --cacert ca.pem --cacert ca-1.pem > refused`
		h.newBench(t).run(t, page[0]+refused, "router.pem: OK", "router-next.pem: OK", "RA cert is trusted", "Sub CA cert is trusted", "badMessageCheck")
		h.have(t, 2, "router-1")
		h.have(t, 0, "router-2")
	})
	t.Run("scepclient", func(t *testing.T) {
		// An authority with RSA keys up to its root, and the switch for what it signs and
		// encrypts with.
		b := h.newBench(t)
		b.run(t, page[1])
		b.run(t, page[2])
		h.have(t, 1, "old-1")
		out, err := b.try(t, `
			pando endpoint update old-routers --protocol scep
			scepclient -server-url "$STATUS/scep/demo.old-routers" -challenge "$(cat challenge)" -cn old-2 -private-key old-2.key -certificate old-2.pem`)
		if err == nil || !strings.Contains(out, "badAlg") {
			t.Errorf("without the switch: %v\n%s", err, out)
		}
		h.have(t, 0, "old-2")
	})
	h.stop(t)
	h.check(t, "")
}
