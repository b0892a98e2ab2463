package output

import "io"

func (d *Document) WriteHTML(w io.Writer) error { return nil }
