package cli

import (
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/alecthomas/kong"
	"github.com/pando-pki/pando/internal/pki"
)

// checkGiven looks at what is given. It refuses an argument that is given and empty, as a shell variable
// that was never set leaves one: it would pass for one that is not given, and a
// token for no endpoint would be one for all. Likewise it refuses numbers and
// durations below 1, which would be replaced by a default. A flag whose struct tag
// says empty:"means" gives them a meaning; so does one that is a pointer. A number above
// what the tag most says, which the server would refuse, is refused likewise.
func checkGiven(parsed *kong.Context) error {
	for _, p := range parsed.Path {
		value, name := p.Positional, ""
		switch {
		case p.Flag != nil:
			value, name = p.Flag.Value, "--"+p.Flag.Name
		case p.Positional != nil:
			name = value.Summary()
		default:
			continue
		}
		if most, err := strconv.ParseInt(value.Tag.Get("most"), 10, 64); err == nil && value.Target.Int() > most {
			return usagef("%s: %d is above %d", name, value.Target.Int(), most)
		}
		if value.Tag.Has("empty") {
			continue
		}
		if problem := emptiness(value.Target); problem != "" {
			return &usageError{fmt.Errorf("%s: %s", name, problem)}
		}
	}
	return nil
}

// emptiness says what is wrong with a value that was given, or "".
func emptiness(v reflect.Value) string {
	switch v.Kind() {
	case reflect.String:
		if v.Len() == 0 {
			return "it is empty; leave it out, or say something"
		}
	case reflect.Slice:
		if v.Len() == 0 {
			return "it is empty; leave it out, or say something"
		}
		for i := range v.Len() {
			if problem := emptiness(v.Index(i)); problem != "" {
				return problem
			}
		}
	case reflect.Int, reflect.Int64:
		if v.Int() > 0 {
			return ""
		}
		if d, ok := v.Interface().(time.Duration); ok {
			return fmt.Sprintf("%s is no time", pki.FormatDuration(d))
		}
		return fmt.Sprintf("%d is below 1", v.Int())
	}
	return ""
}
