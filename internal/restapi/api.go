// Package restapi serves pando's REST API v1: JSON over HTTPS for people's tools
// and for the plant's servers, with OpenAPI 3.1, RFC 9457 problems and
// idempotency keys. The wire types are those of package client.
//
// It decodes, proves who asks, calls a service, and encodes. It holds no policy
// and knows no store.
package restapi

import (
	"hash/maphash"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/pando-pki/pando/internal/intake"
	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/pki"
)

// prefix stands before every path of the API.
const prefix = "/api/v1"

// Config is what the API is made of. Every field but Limits is needed.
type Config struct {
	Tokens         Tokens
	Hierarchy      Hierarchy
	Enroll         Enroll
	Batch          Batch
	Registry       Registry
	Trace          Trace
	LotReports     LotReports
	Revocation     Revocation
	Status         Status
	Log            Log
	Alarms         Alarms
	RevocationJobs RevocationJobs
	Clock          Clock
	Expiry         Expiry
	Retention      Retention
	Trust          Trust
	Secrets        Secrets
	Visits         Visits
	Access         Access
	Quotas         Quotas
	Approvals      Approvals
	Now            pki.Clock

	// Certificates says that who asks is proved by the client certificate of the
	// TLS connection, and by that alone; otherwise by a bearer token, and that alone.
	Certificates bool

	// Limits bounds what one tenant and one source may take, and what is under
	// way at once. Nil limits nothing.
	Limits *limit.Limits

	// Logger gets one line a request at level debug, refused credentials at
	// warn, and the causes of failures. No token, key or request body is logged.
	Logger *slog.Logger

	// Version is pando's own, for the OpenAPI document.
	Version string
}

// server answers the requests. It is not changed after New.
type server struct {
	cfg    Config
	log    *slog.Logger
	desk   *intake.Desk
	mux    *http.ServeMux
	api    huma.API
	hashes *profileHashes
	seed   maphash.Seed
	lasts  map[string]bool // by the pattern of each route of the table
}

// New returns the handler of everything under /api/v1.
func New(cfg Config) http.Handler {
	mux := http.NewServeMux()
	s := &server{
		cfg: cfg, log: cfg.Logger, mux: mux,
		hashes: newProfileHashes(cfg.Hierarchy),
		seed:   maphash.MakeSeed(),
		lasts:  make(map[string]bool),
	}
	s.api = humago.NewWithPrefix(mux, prefix, apiConfig(cfg.Version, s.problemOf))
	s.desk = &intake.Desk{Log: cfg.Logger, Fail: s.shed}
	for _, rt := range s.table() {
		s.lasts[rt.Method+" "+prefix+rt.Path] = rt.lasts
		rt.register(s, rt)
	}
	s.serveOpenAPI()
	return s
}
