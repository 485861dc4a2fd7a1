package content

// Usage counts the tokens of one or more generations, as the provider reported them. InputTokens includes cached
// tokens, OutputTokens includes reasoning: the other counts say how much of them.
type Usage struct {
	InputTokens, OutputTokens         int
	CacheReadTokens, CacheWriteTokens int
	ReasoningTokens                   int
	// Text, Image and Audio break the counts down by modality where a provider does; zero where it does not.
	Text, Image, Audio Modality
}

// Modality is the share of one modality in a [Usage].
type Modality struct{ InputTokens, OutputTokens, CacheReadTokens int }

// Reported tells whether the provider counted anything.
func (u Usage) Reported() bool { return u != Usage{} }

// Total returns input and output tokens together.
func (u Usage) Total() int { return u.InputTokens + u.OutputTokens }

// Add returns the sum of both.
func (u Usage) Add(v Usage) Usage {
	u.InputTokens += v.InputTokens
	u.OutputTokens += v.OutputTokens
	u.CacheReadTokens += v.CacheReadTokens
	u.CacheWriteTokens += v.CacheWriteTokens
	u.ReasoningTokens += v.ReasoningTokens
	u.Text = u.Text.add(v.Text)
	u.Image = u.Image.add(v.Image)
	u.Audio = u.Audio.add(v.Audio)
	return u
}

func (m Modality) add(n Modality) Modality {
	return Modality{
		InputTokens:     m.InputTokens + n.InputTokens,
		OutputTokens:    m.OutputTokens + n.OutputTokens,
		CacheReadTokens: m.CacheReadTokens + n.CacheReadTokens,
	}
}
