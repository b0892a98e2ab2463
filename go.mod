module github.com/glassq/glassq

go 1.26
