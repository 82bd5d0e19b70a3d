package restapi

import (
	stdjson "encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/ceremony"
)

// apiConfig returns huma's configuration: one format, no browsing pages that
// load scripts from elsewhere, and problems for errors.
func apiConfig(version string, problems huma.Transformer) huma.Config {
	schemas := huma.NewMapRegistry("#/components/schemas/", schemaName)
	schemas.RegisterTypeAlias(reflect.TypeFor[huma.ErrorModel](), reflect.TypeFor[client.Problem]())
	schemas.RegisterTypeAlias(reflect.TypeFor[client.Token](), reflect.TypeFor[string]())
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{Title: "pando", Version: version,
				Description: "Design and run private trust hierarchies, and issue, renew and revoke device certificates."},
			Servers: []*huma.Server{{URL: prefix}},
			Components: &huma.Components{
				Schemas: schemas,
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"token": {Type: "http", Scheme: "bearer", Description: "An API token, as pando token create shows it once."},
				},
			},
			Security: []map[string][]string{{"token": {}}},
		},
		Formats:                      map[string]huma.Format{"application/json": jsonFormat(), "json": jsonFormat()},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{problems},
	}
}

// schemaName names schemas after their types. Those of the ceremony's files,
// whose names say little outside their package, get its name before them.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.PkgPath() == reflect.TypeFor[ceremony.Request]().PkgPath() && !strings.HasPrefix(name, "Ceremony") {
		return "Ceremony" + name
	}
	return name
}

// serveOpenAPI serves the document, made once, of every operation that is
// registered.
func (s *server) serveOpenAPI() {
	for _, schema := range s.api.OpenAPI().Components.Schemas.Map() {
		for _, p := range schema.Properties {
			if p.Type == huma.TypeArray {
				p.Nullable = false // an empty list is []
			}
		}
	}
	for _, path := range s.api.OpenAPI().Paths {
		for _, op := range []*huma.Operation{path.Get, path.Put, path.Post, path.Patch, path.Delete} {
			sayNotEmpty(op)
		}
	}
	text, err := stdjson.Marshal(s.api.OpenAPI())
	if err != nil {
		panic("the OpenAPI document cannot be encoded: " + err.Error()) // by no input: the types are ours
	}
	yaml, err := s.api.OpenAPI().YAML()
	if err != nil {
		panic("the OpenAPI document cannot be encoded: " + err.Error())
	}
	for path, doc := range map[string]struct {
		media string
		text  []byte
	}{
		"/openapi.json": {"application/openapi+json", text},
		"/openapi.yaml": {"application/openapi+yaml", yaml},
	} {
		s.mux.HandleFunc("GET "+prefix+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", doc.media)
			_, _ = w.Write(doc.text)
		})
	}
}

// sayNotEmpty says of an operation's query parameters what checkRequest refuses.
func sayNotEmpty(op *huma.Operation) {
	if op == nil {
		return
	}
	for _, p := range op.Parameters {
		if p.In == "query" && p.Schema.Type == huma.TypeString {
			p.Schema.MinLength = new(1)
		}
	}
}

// document describes a plain route.
type document struct {
	id, summary, description string
	path                     map[string]string // what its parameters are, where that is not plain
	query                    []*huma.Param
	idempotent               bool // takes an Idempotency-Key
	request                  []media
	status                   int
	response                 []media
}

// media is one media type of a body. Without a type it is opaque text.
type media struct {
	name  string
	value reflect.Type
}

// waitingDoc describes the answer of an act that waits for approval.
func (s *server) waitingDoc() *huma.Response {
	return &huma.Response{Description: "It waits for approval, and nothing was done yet; Location names the change. With Retry-After it is asked for again, in the same words, until it is done.",
		Headers: map[string]*huma.Param{
			"Location":    {Description: "The change.", Schema: &huma.Schema{Type: huma.TypeString}},
			"Retry-After": {Description: "Seconds, of what is asked for again until it is done.", Schema: &huma.Schema{Type: huma.TypeInteger}},
		},
		Content: s.content([]media{{mediaJSON, reflect.TypeFor[client.Change]()}})}
}

// describe adds a plain route to the OpenAPI document.
func (s *server) describe(op *huma.Operation, d document) {
	op.OperationID, op.Summary, op.Description = d.id, d.summary, d.description
	for _, segment := range strings.Split(op.Path, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			name = strings.TrimSuffix(name, "}")
			op.Parameters = append(op.Parameters, &huma.Param{Name: name, In: "path", Description: d.path[name], Required: true, Schema: &huma.Schema{Type: huma.TypeString}})
		}
	}
	op.Parameters = append(op.Parameters, d.query...)
	if d.idempotent {
		op.Parameters = append(op.Parameters, &huma.Param{Name: idempotencyHeader, In: "header",
			Description: "Makes the same request the same act, however often it is sent; 128 bytes at most.", Schema: &huma.Schema{Type: huma.TypeString}})
	}
	if d.request != nil {
		op.RequestBody = &huma.RequestBody{Required: true, Content: s.content(d.request)}
	}
	op.Responses = map[string]*huma.Response{
		strconv.Itoa(d.status): {Description: http.StatusText(d.status), Content: s.content(d.response)},
		"default":              {Description: "Error", Content: s.content([]media{{"application/problem+json", reflect.TypeFor[client.Problem]()}})},
	}
	s.api.OpenAPI().AddOperation(op)
}

func (s *server) content(list []media) map[string]*huma.MediaType {
	content := map[string]*huma.MediaType{}
	for _, m := range list {
		schema := &huma.Schema{Type: huma.TypeString}
		if m.value != nil {
			schema = s.api.OpenAPI().Components.Schemas.Schema(m.value, true, "")
		}
		content[m.name] = &huma.MediaType{Schema: schema}
	}
	return content
}

// parameter describes a query parameter of a plain route.
func parameter(name, kind, description string, enum ...any) *huma.Param {
	return &huma.Param{Name: name, In: "query", Description: description, Schema: &huma.Schema{Type: kind, Enum: enum}}
}

// required makes a parameter one that must be there.
func required(p *huma.Param) *huma.Param {
	p.Required = true
	return p
}

func params(list ...*huma.Param) []*huma.Param { return list }
