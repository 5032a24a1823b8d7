import { type AnswerOf, type MessageOf, Responder } from 'leveret/nestjs';
import { quote } from './contracts.js';

@Responder(quote)
export class QuoteResponder {
  async handle({ body }: MessageOf<typeof quote>): Promise<AnswerOf<typeof quote>> {
    return { price: 10 * body.sku.length };
  }
}
