package est

import (
	"net/http"

	"github.com/pando-pki/pando/internal/pki"
)

// requestAttributes serves GET csrattrs, RFC 7030, 4.5, with the encodings of RFC 8951
// and the template of RFC 9908: to anybody, as the certificates of authorities.
func (s *Server) requestAttributes(w http.ResponseWriter, r *http.Request) error {
	label, err := s.label(r)
	if err != nil {
		return err
	}
	attributes, err := s.cfg.RA.RequestAttributes(r.Context(), label, pki.ProtocolEST)
	if err != nil {
		return err
	}
	if attributes == nil {
		w.WriteHeader(http.StatusNoContent) // RFC 7030, 4.5.2
		return nil
	}
	writeBase64(w, r, "application/csrattrs", attributes)
	return nil
}
