package cluster

import (
	"reflect"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/glassq/glassq"
)

// TestHop: every field of what every verb takes and gives survives the hop.
func TestHop(t *testing.T) {
	for name, v := range servers() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, v.(interface{ hop(t *testing.T) }).hop)
		})
	}
}

// TestHopOfARange: a range arrives as it was put, its template and what is added included.
func TestHopOfARange(t *testing.T) {
	put := putArgs{tasks: []glassq.Task{{Queue: "q", Run: "r", Dense: true, Position: 7, Priority: 3, Body: []byte(`{"{0:06}"}`),
		Range: &glassq.Range{Count: 5, Add: 3}}}}
	data, err := pack(nil, put)
	if err != nil {
		t.Fatal(err)
	}
	var there putArgs
	if err := unpack(data, &there); err != nil || !reflect.DeepEqual(put, there) {
		t.Errorf("%+v arrives as %+v, %v", put, there, err)
	}
}

func (v *verb[A, R]) hop(t *testing.T) {
	survives[A](t, "takes")
	survives[R](t, "gives")
}

func survives[T any](t *testing.T, what string) {
	var full, there T
	fill(t, reflect.ValueOf(&full).Elem())
	data, err := pack(nil, full)
	if err == nil {
		err = unpack(data, &there)
	}
	if err != nil {
		t.Fatalf("what it %s: %v", what, err)
	}
	if ls, ok := any(there).(leases); ok {
		for i := range ls { // they come with the time that is left, of a clock of their own
			ls[i].Deadline = ls[i].Deadline.UTC().Round(0)
		}
	}
	if !reflect.DeepEqual(full, there) {
		t.Errorf("what it %s:\n%+v\narrives as\n%+v", what, full, there)
	}
}

// fill fills v with what is not zero, all the way down.
func fill(t *testing.T, v reflect.Value) {
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = time.Now().Add(time.Minute).UTC().Round(0) // as JSON gives it back
	case *time.Duration:
		*x = 7 * time.Second
	case *glassq.Schema:
		*x = `{"type":"object"}`
	case *glassq.Hook:
		*x = `{"queue":"h"}`
	case *glassq.Envelope:
		*x = `{"queue":"e"}`
	case *glassq.KeyRate:
		*x = "5/s"
	case *error:
		*x = &glassq.Error{Code: glassq.CodeQueueFull, Message: "full", RetryAfter: time.Second}
	default:
		switch v.Kind() {
		case reflect.Bool:
			v.SetBool(true)
		case reflect.String:
			v.SetString("some")
		case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
			v.SetInt(3)
		case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
			v.SetUint(3)
		case reflect.Float64:
			v.SetFloat(0.5)
		case reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem())
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			for i := range v.Len() {
				fill(t, v.Index(i))
			}
		case reflect.Map:
			key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(t, key)
			fill(t, elem)
			v.Set(reflect.MakeMap(v.Type()))
			v.SetMapIndex(key, elem)
		case reflect.Struct:
			for i := range v.NumField() {
				f := v.Field(i)
				fill(t, reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem())
			}
			if task, ok := v.Addr().Interface().(*glassq.Task); ok {
				task.Range = nil // no task with an id is one
			}
		case reflect.Func: // Ack.Within, which the gateway of the caller asks
		case reflect.Array:
			for i := range v.Len() {
				fill(t, v.Index(i))
			}
		default:
			t.Fatalf("nothing to fill a %s with", v.Type())
		}
	}
}
