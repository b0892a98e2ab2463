package httpdoor

import (
	"net/http"
	"strings"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/spec"
)

func (s *call) openAPI(rw http.ResponseWriter, r *http.Request) error {
	if q := parseQuery(r); q.err != nil {
		return q.err
	}
	return send(rw, http.StatusOK, "application/yaml", spec.OpenAPI())
}

// schema serves a JSON Schema by its file name, such as task.json.
func (s *call) schema(rw http.ResponseWriter, r *http.Request) error {
	if q := parseQuery(r); q.err != nil {
		return q.err
	}
	name, isJSON := strings.CutSuffix(r.PathValue("name"), ".json")
	text, ok := spec.Schema(name)
	if !ok || !isJSON {
		return glassq.Errorf(glassq.CodeNotFound, "no schema %.40q; there are %s", r.PathValue("name"),
			strings.Join(spec.Schemas(), ".json, ")+".json")
	}
	return send(rw, http.StatusOK, "application/schema+json", text)
}
