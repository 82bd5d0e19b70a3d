package approval

import (
	"bytes"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// withheld is the member of a payload in which an executor keeps what it needs and
// nobody is to read, as a challenge that is good for more enrolments.
const withheld = "withheld"

// Shown returns a payload as those who decide see it, and as HashOf is over: without
// what is withheld. It is nil for one that is damaged.
func Shown(payload []byte) []byte {
	if !bytes.Contains(payload, []byte(`"`+withheld+`"`)) {
		return payload
	}
	var members map[string]jsontext.Value
	if err := json.Unmarshal(payload, &members); err != nil {
		return nil
	}
	delete(members, withheld)
	shown, err := canonical(members)
	if err != nil {
		return nil
	}
	return shown
}
