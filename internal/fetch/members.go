package fetch

// Members names the members that results of these options may have in o, beside those that all
// have; see docs/work.md.
func (f *Fetcher) Members() []string {
	var names []string
	if f.opt.Retries > 0 || f.opt.HTTP2 {
		names = append(names, "tries")
	}
	if f.opt.Redirects > 0 {
		names = append(names, "hops", "url")
	}
	if f.opt.Decode {
		names = append(names, "size")
	}
	if f.opt.Phases {
		names = append(names, "ph")
	}
	switch f.opt.Capture {
	case CaptureHash:
		names = append(names, "sha256")
	case CaptureFile:
		names = append(names, "sha256", "file")
	case CaptureText:
		names = append(names, "body", "body_b64", "body_cut")
	}
	return names
}
