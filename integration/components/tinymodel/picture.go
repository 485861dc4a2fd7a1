package tinymodel

import (
	"image"
	"image/color"
)

// Picture returns an image of 56 pixels square in which there are these colours
// and no others, in its quarters; of none it is grey.
func Picture(c Colours) image.Image {
	const side = 56
	grey := color.RGBA{R: 128, G: 128, B: 128, A: 255}
	var fill []color.RGBA
	for i, full := range []color.RGBA{{R: 255, A: 255}, {G: 255, A: 255}, {B: 255, A: 255}} {
		if c>>i&1 == 1 {
			fill = append(fill, full)
		}
	}
	if n := len(fill); n == 0 || n == 3 { // four quarters are not for three
		fill = append(fill, grey)
	}
	img := image.NewRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			quarter := x/(side/2) + y/(side/2)*2
			img.SetRGBA(x, y, fill[quarter%len(fill)])
		}
	}
	return img
}
