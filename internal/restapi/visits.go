package restapi

import (
	"net/http"
	"reflect"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/visits"
)

// traceEndpoint serves GET /endpoints/{endpoint}/trace.
func (s *server) traceEndpoint(w http.ResponseWriter, r *http.Request, g access.Permit) error {
	q, err := readQuery(r, "follow")
	if err != nil {
		return err
	}
	follow := q.Get("follow")
	if follow != "" && follow != "true" && follow != "false" {
		return pki.Errorf(pki.Malformed, "follow is true or false")
	}
	ep, err := s.cfg.Enroll.Endpoint(r.Context(), g, r.PathValue("endpoint"))
	if err != nil {
		return err
	}
	out := newStream(w)
	defer out.End()
	if err := openEvents(out); err != nil { // what comes may be long in coming
		s.cut(r, err)
	}
	for v := range s.cfg.Visits.Watch(r.Context(), ep.Label(), follow == "true") {
		if err := sendEvent(out, "visit", wireVisit(v)); err != nil {
			s.cut(r, err)
		}
	}
	if err := sendEvent(out, "end", struct{}{}); err != nil {
		s.cut(r, err)
	}
	return nil
}

func traceEndpointDoc() document {
	return document{
		id: "trace-endpoint", summary: "Watch what comes to an endpoint",
		description: "Server-sent events of type visit: the last requests for single certificates that came to the endpoint, and with follow=true each that comes: who asked, and which rule refused it. They are of the node that answers, and in its memory alone. Without follow the last event is of type end.",
		status:      http.StatusOK,
		response:    []media{{mediaEvents, reflect.TypeFor[client.Visit]()}},
		query:       params(parameter("follow", "boolean", "Go on with what comes, until the client ends it. Default: false.")),
	}
}

func wireVisit(v visits.Visit) client.Visit {
	out := client.Visit{No: v.No, At: v.At, Protocol: string(v.Protocol), Source: v.Source, Who: v.Who, Device: string(v.Device), Outcome: "issued", Why: v.Why, Serial: v.Serial}
	switch {
	case v.Refused:
		out.Outcome, out.Kind = "refused", v.Kind.String()
	case v.Serial == "":
		out.Outcome = "pending"
	}
	return out
}
