package status

import (
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// maxCRLAge bounds how long an HTTP cache may give a CRL without asking again: a
// new one follows each revocation, and asking costs little where it is the same.
const maxCRLAge = 5 * time.Minute

// crl serves GET /crl/{issuer}/{shard}.crl, one DER CRL (RFC 5280, 4.2.1.13), and
// {shard}-delta.crl, the delta CRL to it (RFC 5280, 4.2.1.15).
func (s *Server) crl(w http.ResponseWriter, r *http.Request, tail string) {
	if !allowed(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	issuer, file, _ := strings.Cut(tail, "/")
	name, ok := strings.CutSuffix(file, ".crl")
	name, delta := strings.CutSuffix(name, "-delta")
	shard, err := strconv.Atoi(name)
	if !ok || err != nil || shard < 0 || strconv.Itoa(shard) != name {
		s.fail(w, r, pki.Errorf(pki.NotFound, "no such CRL"))
		return
	}
	got, err := s.cfg.Validator.CRL(r.Context(), revocation.List{Issuer: pki.IssuerID(issuer), Shard: shard, Delta: delta})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/pkix-crl")
	writeCached(w, r, cached{
		body: got.DER, hash: got.Hash, modified: got.ThisUpdate, expires: got.NextUpdate,
		age: min(maxCRLAge, got.NextUpdate.Sub(s.cfg.Now())),
	})
	runtime.KeepAlive(got) // however slow the client is, others share this copy
}
