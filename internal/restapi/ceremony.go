package restapi

import (
	"bytes"
	"fmt"
	"net/http"
	"reflect"
	"strconv"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/ceremony"
	"github.com/pando-pki/pando/internal/pki"
)

// install serves POST /authorities/install. The body is the file that a ceremony
// wrote; package ceremony alone knows its form, and bounds it at 64 MiB.
func (s *server) install(w http.ResponseWriter, r *http.Request, g access.Permit) error {
	if _, err := readQuery(r); err != nil {
		return err
	}
	response, err := ceremony.ReadResponse(slowly(w, r.Body))
	if err != nil {
		return err
	}
	v, err := s.cfg.Hierarchy.Install(r.Context(), g, response)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, wireAuthority(v))
}

func installDoc() document {
	return document{
		id: "install", summary: "Install a ceremony's answer",
		description: "The body is the file that a ceremony wrote: the certificate of a pending issuer, a root that follows another with its links, or a root's CRL. 64 MiB at most.",
		request:     []media{{"application/json", reflect.TypeFor[ceremony.Response]()}},
		status:      http.StatusOK,
		response:    []media{{"application/json", reflect.TypeFor[client.Authority]()}},
	}
}

// authorityRequest serves GET /authorities/{authority}/request.
func (s *server) authorityRequest(w http.ResponseWriter, r *http.Request, g access.Permit) error {
	if _, err := readQuery(r); err != nil {
		return err
	}
	request, err := s.cfg.Hierarchy.Request(r.Context(), g, r.PathValue("authority"))
	if err != nil {
		return err
	}
	return writeRequest(w, request)
}

func authorityRequestDoc() document {
	return document{
		id: "get-authority-request", summary: "Get the file that asks a ceremony for an authority's certificate",
		status:   http.StatusOK,
		response: []media{{"application/json", reflect.TypeFor[ceremony.Request]()}},
	}
}

// crlRequest serves GET /authorities/{authority}/crl-request. It takes a CRL
// number, which is never given again.
func (s *server) crlRequest(w http.ResponseWriter, r *http.Request, g access.Permit) error {
	q, err := readQuery(r, "days", "issuer")
	if err != nil {
		return err
	}
	days := 0
	if text := q.Get("days"); text != "" {
		if days, err = strconv.Atoi(text); err != nil || days < 1 || days > maxCRLDays {
			return pki.Errorf(pki.Malformed, "days %.20q: from 1 to %d", text, maxCRLDays)
		}
	}
	request, err := s.cfg.Hierarchy.CRLRequest(r.Context(), g, r.PathValue("authority"), pki.IssuerID(q.Get("issuer")), days)
	if err != nil {
		return err
	}
	return writeRequest(w, request)
}

// maxCRLDays bounds how long a root's CRL may hold.
const maxCRLDays = 3660

func crlRequestDoc() document {
	return document{
		id: "get-crl-request", summary: "Get the file that asks a ceremony for a root's next CRL",
		query: params(parameter("days", "integer", "Until the CRL after it. Default: a year."),
			parameter("issuer", "string", "Id of the root's issuer whose CRL it is, where a root has followed another. Default: the active one.")),
		status:   http.StatusOK,
		response: []media{{"application/json", reflect.TypeFor[ceremony.Request]()}},
	}
}

func writeRequest(w http.ResponseWriter, request *ceremony.Request) error {
	var text bytes.Buffer
	if err := ceremony.WriteRequest(&text, request); err != nil {
		return fmt.Errorf("encoding the ceremony's request: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text.Bytes()) // what fails now is the connection
	return nil
}

// chain serves GET /authorities/{authority}/chain: the active issuer's
// certificate, then up to and with the root.
func (s *server) chain(w http.ResponseWriter, r *http.Request, g access.Permit) error {
	if _, err := readQuery(r); err != nil {
		return err
	}
	chain, err := s.cfg.Hierarchy.ActiveChain(r.Context(), g, r.PathValue("authority"))
	if err != nil {
		return err
	}
	return writePEM(w, chain)
}

func chainDoc() document {
	return document{
		id: "get-authority-chain", summary: "Get the certificates from an authority up to its root",
		status:   http.StatusOK,
		response: []media{{mediaPEMChain, nil}},
	}
}
