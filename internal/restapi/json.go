package restapi

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/go-json-experiment/json"

	"github.com/pando-pki/pando/internal/strictjson"
)

// jsonFormat is the one way in which JSON is read and written.
func jsonFormat() huma.Format {
	return huma.Format{
		Marshal:   marshal,
		Unmarshal: unmarshal,
	}
}

// onlyJSON refuses a body that says it is something else. Of other bodies huma does
// so when it compares them with the schema.
func onlyJSON(ctx huma.Context, next func(huma.Context)) {
	if given := ctx.Header("Content-Type"); given != "" && given != mediaJSON {
		if media, _, err := mime.ParseMediaType(given); err != nil || media != mediaJSON {
			_, w := humago.Unwrap(ctx.(*authorized).Unwrap())
			writeProblem(w, malformed(http.StatusUnsupportedMediaType, "the body is to be "+mediaJSON))
			return
		}
	}
	next(ctx)
}

// marshal writes a value at once: an answer of the API is a page at most.
func marshal(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err == nil {
		_, err = w.Write(text)
	}
	return err
}

// unmarshal is strictjson.Unmarshal, and refuses null: no member of the API means
// anything by it, and it must not pass for a member that is absent where the
// sender may have meant that nothing be left. It is looked for where it can be.
func unmarshal(data []byte, v any) error {
	if err := strictjson.Unmarshal(data, v); err != nil || !bytes.Contains(data, []byte("null")) {
		return err
	}
	var whole any
	if err := strictjson.Unmarshal(data, &whole); err != nil {
		return err
	}
	return refuseNull("", whole)
}

// refuseNull looks for a null in a value that was read from JSON, whose depth is
// bounded.
func refuseNull(at string, v any) error {
	switch v := v.(type) {
	case nil:
		return fmt.Errorf("the value at %.80q is null: leave it out, or say what it is to be", at)
	case map[string]any:
		for name, member := range v {
			if err := refuseNull(at+"/"+name, member); err != nil {
				return err
			}
		}
	case []any:
		for i, item := range v {
			if err := refuseNull(fmt.Sprintf("%s/%d", at, i), item); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeJSON answers a plain route with a JSON value.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text) // what fails now is the connection
	return nil
}
